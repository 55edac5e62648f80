package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// What follows checks JSON by the part of OpenAPI 3.1 and JSON Schema that
// openapi.yaml uses, and refuses any keyword that it does not know. A library that
// knows all of them would be in the go.sum of everybody who uses this module.

func (d document31) checkJSON(schema object, raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return d.check(schema, v)
}

// check returns why the schema does not allow the value.
func (d document31) check(schema object, v any) error {
	schema = d.resolve(schema)
	for keyword, want := range schema {
		var err error
		switch keyword {
		case "description", "default", "properties":
		case "additionalProperties", "required":
			if o, ok := v.(object); ok {
				err = d.checkObject(schema, o)
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				if err = d.check(want.(object), item); err != nil {
					err = fmt.Errorf("%d: %w", i, err)
					break
				}
			}
		case "type":
			err = checkType(want, v)
		case "enum":
			if !slices.Contains(want.([]any), v) {
				err = fmt.Errorf("%v is none of %v", v, want)
			}
		case "oneOf":
			if !slices.ContainsFunc(want.([]any), func(s any) bool { return d.check(s.(object), v) == nil }) {
				err = fmt.Errorf("%v is none of %v", v, want)
			}
		case "format":
			if s, ok := v.(string); ok && want == "date-time" {
				_, err = time.Parse(time.RFC3339Nano, s)
				if err != nil {
					err = fmt.Errorf("%q is no date-time", s)
				}
			} else if !slices.Contains([]any{"date-time", "int64", "float", "double", "uuid", "uri-reference"}, want) {
				err = fmt.Errorf("the format %v is not known here", want)
			}
		case "pattern":
			if s, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(s) {
				err = fmt.Errorf("%q does not match %v", s, want)
			}
		case "minLength":
			if s, ok := v.(string); ok && utf8.RuneCountInString(s) < want.(int) {
				err = fmt.Errorf("%q is shorter than %v", s, want)
			}
		case "maxLength":
			if s, ok := v.(string); ok && utf8.RuneCountInString(s) > want.(int) {
				err = fmt.Errorf("a text is longer than %v", want)
			}
		case "minItems":
			if l, ok := v.([]any); ok && len(l) < want.(int) {
				err = fmt.Errorf("a list has less than %v items", want)
			}
		case "maxItems":
			if l, ok := v.([]any); ok && len(l) > want.(int) {
				err = fmt.Errorf("a list has more than %v items", want)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < float64(want.(int)) {
				err = fmt.Errorf("%v is less than %v", v, want)
			}
		case "maximum":
			if n, ok := v.(float64); ok && n > float64(want.(int)) {
				err = fmt.Errorf("%v is more than %v", v, want)
			}
		default:
			err = fmt.Errorf("the keyword %s is not known here", keyword)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d document31) checkObject(schema, o object) error {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := o[name.(string)]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	known, _ := schema["properties"].(object)
	for name, v := range o {
		of, ok := known[name].(object)
		if !ok {
			switch others := schema["additionalProperties"].(type) {
			case object:
				of = others
			case bool:
				if !others {
					return fmt.Errorf("%s is not described", name)
				}
				continue
			default:
				return errors.New("an object must have additionalProperties: this would allow anything")
			}
		}
		if err := d.check(of, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkType(want, v any) error {
	if many, ok := want.([]any); ok {
		if slices.ContainsFunc(many, func(one any) bool { return checkType(one, v) == nil }) {
			return nil
		}
		return fmt.Errorf("%v is none of %v", v, many)
	}
	ok := false
	switch want {
	case "null":
		ok = v == nil
	case "boolean":
		_, ok = v.(bool)
	case "string":
		_, ok = v.(string)
	case "number":
		_, ok = v.(float64)
	case "integer":
		var n float64
		n, ok = v.(float64)
		ok = ok && n == math.Trunc(n)
	case "array":
		_, ok = v.([]any)
	case "object":
		_, ok = v.(object)
	}
	if !ok {
		return fmt.Errorf("%v is no %v", v, want)
	}
	return nil
}

// spoiled are the body without one of the properties that the schema requires, and
// with one that it does not know, by what was done. Of a list the first element
// stands for all.
func (d document31) spoiled(schema object, body []byte) map[string][]byte {
	all := map[string][]byte{}
	var v any
	if schema == nil || json.Unmarshal(body, &v) != nil {
		return all
	}
	var walk func(schema object, at any, path string)
	walk = func(schema object, at any, path string) {
		schema = d.resolve(schema)
		if either, ok := schema["oneOf"].([]any); ok && at != nil {
			schema = d.resolve(either[0].(object))
		}
		switch at := at.(type) {
		case []any:
			if items, ok := schema["items"].(object); ok && len(at) > 0 {
				walk(items, at[0], path+"[0]")
			}
		case object:
			spoil := func(what, name string, do func()) {
				was, had := at[name]
				do()
				raw, _ := json.Marshal(v)
				all[path+"."+name+what] = raw
				delete(at, name)
				if had {
					at[name] = was
				}
			}
			required, _ := schema["required"].([]any)
			for _, name := range required {
				spoil(" is missing", name.(string), func() { delete(at, name.(string)) })
			}
			if schema["additionalProperties"] == false {
				spoil(" is unknown", "surplus", func() { at["surplus"] = 1 })
			}
			properties, _ := schema["properties"].(object)
			for name, of := range properties {
				if inner, ok := at[name]; ok {
					walk(of.(object), inner, path+"."+name)
				}
				for what, value := range beyond(d.resolve(of.(object))) {
					spoil(" is beyond its "+what, name, func() { at[name] = value })
				}
			}
		}
	}
	walk(schema, v, "body")
	return all
}

// bounded returns which number or text of a request's schema may be anything.
func (d document31) bounded(schema object, path string) error {
	schema = d.resolve(schema)
	has := func(keywords ...string) bool {
		return !slices.ContainsFunc(keywords, func(k string) bool { _, ok := schema[k]; return !ok })
	}
	types := fmt.Sprint(schema["type"])
	switch {
	case strings.Contains(types, "object") && strings.Contains(types, "string"):
		return nil // any JSON, as large as a body may be
	case strings.Contains(types, "integer") || strings.Contains(types, "number"):
		if !has("minimum", "maximum") && schema["format"] != "float" {
			return fmt.Errorf("%s has no minimum and maximum", path)
		}
	case strings.Contains(types, "string"):
		if !has("maxLength") && !has("enum") && !has("format") && !has("pattern") {
			return fmt.Errorf("%s has no maxLength", path)
		}
	}
	if items, ok := schema["items"].(object); ok && len(items) > 0 {
		if err := d.bounded(items, path+"[]"); err != nil {
			return err
		}
	}
	for _, s := range asList(schema["oneOf"]) {
		if err := d.bounded(s.(object), path); err != nil {
			return err
		}
	}
	properties, _ := schema["properties"].(object)
	for name, of := range properties {
		if err := d.bounded(of.(object), path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// beyond are values that a schema's bounds just don't allow, by what they break.
func beyond(schema object) map[string]any {
	all := map[string]any{}
	if n, ok := schema["minimum"].(int); ok && n > math.MinInt64 {
		all["minimum"] = n - 1
	}
	if n, ok := schema["maximum"].(int); ok && n < math.MaxInt64 {
		all["maximum"] = n + 1
	}
	if n, ok := schema["minLength"].(int); ok && n == 1 {
		all["minLength"] = ""
	}
	if n, ok := schema["maxLength"].(int); ok && n < 5000 {
		all["maxLength"] = strings.Repeat("x", n+1)
	}
	if _, ok := schema["pattern"]; ok {
		all["pattern"] = "no match"
	}
	if schema["format"] == "uuid" {
		all["format"] = "no-uuid"
	}
	if schema["format"] == "date-time" {
		all["format"] = "tomorrow"
	}
	if _, ok := schema["enum"]; ok {
		all["enum"] = "none-of-these"
	}
	return all
}

// describes returns what of a Go type's JSON the schema leaves out, or has besides.
func (d document31) describes(schema object, t reflect.Type) error {
	schema = d.resolve(schema)
	if either, ok := schema["oneOf"].([]any); ok {
		schema = d.resolve(either[0].(object))
	}
	switch {
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[json.RawMessage]():
		return nil
	case t.Kind() == reflect.Pointer:
		return d.describes(schema, t.Elem())
	case t.Kind() == reflect.Slice:
		items, ok := schema["items"].(object)
		if !ok {
			return fmt.Errorf("%v is a list", t)
		}
		return d.describes(items, t.Elem())
	case t.Kind() == reflect.Map:
		if of, ok := schema["additionalProperties"].(object); ok {
			return d.describes(of, t.Elem())
		}
		return nil
	case t.Kind() != reflect.Struct:
		return nil
	}
	properties, _ := schema["properties"].(object)
	left := maps.Clone(properties)
	for _, name := range required[t] {
		if !slices.Contains(asList(schema["required"]), any(name)) {
			return fmt.Errorf("%v: %s is required, and described as optional", t, name)
		}
	}
	for f := range fields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		of, ok := properties[name].(object)
		if !ok {
			return fmt.Errorf("%v: %q is not described", t, name)
		}
		delete(left, name)
		duration := f.Type == reflect.TypeFor[time.Duration]() || f.Type == reflect.TypeFor[*time.Duration]()
		if duration != strings.HasSuffix(name, "_ns") {
			return fmt.Errorf("%v: %q: nanoseconds end in _ns, and nothing else does", t, name)
		}
		if err := d.describes(of, f.Type); err != nil {
			return err
		}
	}
	for name := range left {
		return fmt.Errorf("%v has no %s", t, name)
	}
	return nil
}
