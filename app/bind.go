package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// bind fills the struct behind in from a request: a field with the tag path:"x" or query:"x"
// from the URL, the field Body from the body. bind refuses an unknown, empty or repeated
// parameter: a typing error must not find everything.
func bind(w http.ResponseWriter, r *http.Request, in any) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the query is not well-formed")
	}
	v, body := reflect.ValueOf(in).Elem(), -1
	var known []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name, ok := f.Tag.Lookup("path"); ok {
			v.Field(i).SetString(r.PathValue(name))
		} else if name, ok := f.Tag.Lookup("query"); ok {
			known = append(known, name)
			if err := setParameter(v.Field(i), name, query[name]); err != nil {
				return err
			}
			delete(query, name)
		} else {
			body = i
		}
	}
	if len(query) > 0 {
		use := "it takes none"
		if len(known) > 0 {
			use = "use " + strings.Join(known, ", ")
		}
		return badRequest(fmt.Sprintf("there is no parameter %q: %s", slices.Sorted(maps.Keys(query))[0], use))
	}
	if body < 0 {
		return nil
	}
	return decode(w, r, v.Field(body).Addr().Interface(), v.Type().Field(body).Tag.Get("body") == "optional")
}

// setParameter sets a field from a parameter of the query. All whole numbers are
// lengths of lists.
func setParameter(field reflect.Value, name string, values []string) error {
	if slices.Contains(values, "") {
		return badRequest(name + " is empty")
	}
	if many, ok := field.Addr().Interface().(*[]string); ok {
		*many = values
		return nil
	}
	switch len(values) {
	case 0:
		return nil
	case 1:
	default:
		return badRequest(name + " is given more than once")
	}
	value := values[0]
	switch f := field.Addr().Interface().(type) {
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxPage {
			return badRequest(fmt.Sprintf("%s must be a whole number from 1 to %d", name, maxPage))
		}
		*f = n
	case **float64:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return badRequest(name + " must be a number")
		}
		*f = &n
	case *bool:
		if value != "true" && value != "false" {
			return badRequest(name + " must be true or false")
		}
		*f = value == "true"
	default:
		field.SetString(value)
	}
	return nil
}
