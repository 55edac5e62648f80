package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// checkShape checks a body against the type of the target. encoding/json accepts a field's name
// in any case, the last of two equal names, and null for everything. checkShape refuses all
// three, and names the field in the error.
func checkShape(raw []byte, t reflect.Type) error {
	if !utf8.Valid(raw) {
		return badRequest("the body is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return badRequest("the body is not JSON: " + err.Error())
	}
	s := shape{json.NewDecoder(bytes.NewReader(raw))}
	s.dec.UseNumber()
	return s.check(t, "")
}

// shape reads tokens of well-formed JSON.
type shape struct{ dec *json.Decoder }

var (
	timeType    = reflect.TypeFor[time.Time]()
	rawType     = reflect.TypeFor[json.RawMessage]()
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// check reads a value. A nil type accepts any value.
func (s *shape) check(t reflect.Type, path string) error {
	nullable := t == nil
	if t != nil && t.Kind() == reflect.Pointer {
		nullable, t = true, t.Elem()
	}
	if t != nil && (t.Kind() == reflect.Interface || t == rawType || t != timeType && reflect.PointerTo(t).Implements(unmarshaler)) {
		nullable, t = true, nil
	}
	nullable = nullable || t != nil && t.Kind() == reflect.Map
	token, err := s.dec.Token()
	if err != nil {
		return badRequest("the body is not JSON: " + err.Error())
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return s.object(t, path)
		}
		return s.list(t, path)
	case nil:
		if !nullable {
			return misshapen(t, path)
		}
		return nil
	case json.Number:
		return number(token, t, path)
	case string:
		if t == timeType {
			if new(time.Time).UnmarshalJSON([]byte(strconv.Quote(token))) != nil {
				return misshapen(t, path)
			}
			return nil
		}
		if t != nil && t.Kind() != reflect.String {
			return misshapen(t, path)
		}
	case bool:
		if t != nil && t.Kind() != reflect.Bool {
			return misshapen(t, path)
		}
	}
	return nil
}

// object reads the rest of an object.
func (s *shape) object(t reflect.Type, path string) error {
	var known map[string]reflect.Type
	var element reflect.Type
	switch {
	case t == nil:
	case t.Kind() == reflect.Map:
		element = t.Elem()
	case t.Kind() == reflect.Struct && t != timeType:
		known = jsonFields(t)
	default:
		return misshapen(t, path)
	}
	seen := map[string]bool{}
	for s.dec.More() {
		token, err := s.dec.Token()
		if err != nil {
			return badRequest("the body is not JSON: " + err.Error())
		}
		name, _ := token.(string)
		at := strings.TrimPrefix(path+"."+name, ".")
		if seen[name] {
			return badRequest(fmt.Sprintf("the field %q is there more than once", at))
		}
		seen[name] = true
		of := element
		if known != nil {
			var ok bool
			if of, ok = known[name]; !ok {
				return badRequest(fmt.Sprintf("unknown field %q: use %s", at, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
			}
		}
		if err := s.check(of, at); err != nil {
			return err
		}
	}
	for _, name := range required[t] {
		if !seen[name] {
			return badRequest(strings.TrimPrefix(path+"."+name, ".") + " is missing")
		}
	}
	_, err := s.dec.Token() // the end
	return err
}

// list reads the rest of a list.
func (s *shape) list(t reflect.Type, path string) error {
	var element reflect.Type
	if t != nil {
		if t.Kind() != reflect.Slice {
			return misshapen(t, path)
		}
		element = t.Elem()
	}
	for i := 0; s.dec.More(); i++ {
		if err := s.check(element, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	_, err := s.dec.Token() // the end
	return err
}

// number checks a number against a type. A number beyond a double's range would be endless
// digits.
func number(n json.Number, t reflect.Type, path string) error {
	f, err := n.Float64()
	switch {
	case err != nil:
		return badRequest(named(path) + " must be a number that a double holds")
	case t == nil:
	case t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32:
		if reflect.Zero(t).OverflowFloat(f) {
			return misshapen(t, path)
		}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		i, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || reflect.Zero(t).OverflowInt(i) {
			return misshapen(t, path)
		}
	default:
		return misshapen(t, path)
	}
	return nil
}

// jsonFields are the fields of a struct's JSON.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && name != "-" {
			all[name] = f.Type
		}
	}
	return all
}

func named(path string) string {
	if path == "" {
		return "the body"
	}
	return path
}

// misshapen names the type that the value must have.
func misshapen(t reflect.Type, path string) error {
	must := "a number"
	switch {
	case t == timeType:
		must = "a time such as 2026-01-02T15:04:05Z"
	case t.Kind() == reflect.String:
		must = "a string"
	case t.Kind() == reflect.Bool:
		must = "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		must = "a whole number of 64 bits, without fraction and exponent"
	case t.Kind() == reflect.Slice:
		must = "a list"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		must = "an object"
	}
	return badRequest(named(path) + " must be " + must)
}
