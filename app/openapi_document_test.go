package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

type object = map[string]any

// document31 is an OpenAPI document.
type document31 object

// operation is one of its operations, with its path's parameters.
type operation object

// operations are by the mux's patterns.
func (d document31) operations() map[string]operation {
	all := map[string]operation{}
	for path, item := range d["paths"].(object) {
		for method, op := range item.(object) {
			if method == "parameters" {
				continue
			}
			op := maps.Clone(op.(object))
			shared, _ := item.(object)["parameters"].([]any)
			own, _ := op["parameters"].([]any)
			op["parameters"] = slices.Concat(shared, own)
			all[strings.ToUpper(method)+" "+path] = op
		}
	}
	return all
}

func (o operation) tag() string { return o["tags"].([]any)[0].(string) }

func (o operation) parameters(in string) (names []string) {
	for _, p := range o["parameters"].([]any) {
		if p := p.(object); p["in"] == in {
			names = append(names, p["name"].(string))
		}
	}
	return names
}

// request is the schema of the body, nil where there is none.
func (o operation) request() object {
	body, ok := o["requestBody"].(object)
	if !ok {
		return nil
	}
	return schemaOf(body)
}

// answer is that for the status. Errors that any operation may have are the default.
func (o operation) answer(d document31, status int) (object, bool) {
	responses := o["responses"].(object)
	answer, ok := responses[fmt.Sprint(status)].(object)
	if !ok && (status >= 500 || slices.Contains([]int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}, status)) {
		answer, ok = responses["default"].(object)
	}
	return d.resolve(answer), ok
}

func schemaOf(body object) object {
	return body["content"].(object)["application/json"].(object)["schema"].(object)
}

// resolve follows a reference.
func (d document31) resolve(o object) object {
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	at := object(d)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at, ok = at[name].(object)
		if !ok {
			panic("there is no " + ref)
		}
	}
	return at
}
