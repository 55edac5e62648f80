package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.yaml.in/yaml/v3"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/testkit"
)

// contract holds the traffic of a server against openapi.yaml, and remembers which
// of its answers were given.
type contract struct {
	t   testing.TB
	doc document31
	api http.Handler

	mu   sync.Mutex
	seen map[string]bool // "GET /agents 200"
}

// holdTo puts the contract before the API.
func holdTo(t testing.TB, api http.Handler) *contract {
	return &contract{t: t, doc: readDescription(t), api: api, seen: map[string]bool{}}
}

func (c *contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Errorf("read the request: %v", err)
	}
	serve := func(body []byte) *httptest.ResponseRecorder {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		c.api.ServeHTTP(rec, again)
		return rec
	}
	_, pattern := c.api.(*handler).mux.Handler(r)
	pattern = strings.TrimSuffix(pattern, "{$}")
	op, known := c.doc.operations()[pattern]
	if known {
		for what, body := range c.doc.spoiled(op.request(), sent) {
			if rec := serve(body); rec.Code < 400 {
				c.t.Errorf("%s: %s, and the answer is %d", pattern, what, rec.Code)
			}
		}
	}
	rec := serve(sent)
	switch {
	case known:
		if err := c.check(op, r, sent, rec); err != nil {
			c.t.Errorf("%s %s, %s %d: %v", r.Method, r.URL, pattern, rec.Code, err)
		}
		c.mu.Lock()
		c.seen[fmt.Sprint(pattern, " ", rec.Code)] = true
		c.mu.Unlock()
	case rec.Code < 400:
		c.t.Errorf("%s is not described", pattern)
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// check holds one request and its answer against what is described.
func (c *contract) check(op operation, r *http.Request, sent []byte, rec *httptest.ResponseRecorder) error {
	if rec.Code < 400 {
		for name := range r.URL.Query() {
			if !slices.Contains(op.parameters("query"), name) {
				return fmt.Errorf("the parameter %s is not described", name)
			}
		}
		if schema := op.request(); schema != nil && len(sent) > 0 {
			if err := c.doc.checkJSON(schema, sent); err != nil {
				return fmt.Errorf("request: %w", err)
			}
		}
	}
	answer, ok := op.answer(c.doc, rec.Code)
	if !ok {
		return fmt.Errorf("this status is not described: %s", rec.Body)
	}
	if err := c.checkHeaders(answer, rec); err != nil {
		return err
	}
	content, _ := answer["content"].(object)
	if content == nil {
		if rec.Body.Len() > 0 {
			return fmt.Errorf("the body is not described: %s", rec.Body)
		}
		return nil
	}
	media, ok := content[rec.Header().Get("Content-Type")].(object)
	if !ok {
		return fmt.Errorf("the type %q is not described", rec.Header().Get("Content-Type"))
	}
	if schema, ok := media["schema"].(object); ok && strings.HasSuffix(rec.Header().Get("Content-Type"), "json") {
		return c.doc.checkJSON(schema, rec.Body.Bytes())
	}
	return nil
}

// checkHeaders holds the headers that callers act on against what is described.
func (c *contract) checkHeaders(answer object, rec *httptest.ResponseRecorder) error {
	described, _ := answer["headers"].(object)
	for _, name := range []string{"Location", "Retry-After"} {
		if _, ok := described[name]; !ok && rec.Header().Get(name) != "" {
			return fmt.Errorf("the header %s is not described", name)
		}
	}
	if _, ok := described["Location"]; ok && rec.Header().Get("Location") == "" {
		return errors.New("the header Location is missing")
	}
	return nil
}

// requireAllOf fails the test unless every answer that is described for the
// operations of a tag was given: a success, and the errors that are its own. Status
// 400 has a test for all operations.
func (c *contract) requireAllOf(tag string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	some := false
	for pattern, op := range c.doc.operations() {
		if op.tag() != tag {
			continue
		}
		some = true
		for status := range op["responses"].(object) {
			if status != "default" && status != "400" && !c.seen[pattern+" "+status] {
				c.t.Errorf("%s: no test saw %s", pattern, status)
			}
		}
	}
	require.True(c.t, some, tag)
}

func TestEveryRouteIsDescribedAndEveryDescriptionIsARoute(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	doc := readDescription(t)
	registered := slices.Collect(maps.Keys(clients{}.routes()))
	for pattern := range (&handler{}).openRoutes(testkit.DB(t)) {
		registered = append(registered, strings.TrimSuffix(pattern, "{$}"))
	}
	require.ElementsMatch(t, registered, slices.Collect(maps.Keys(doc.operations())))

	for pattern, e := range (clients{}).routes() {
		op := doc.operations()[pattern]
		require.NotEmpty(t, op["summary"], pattern)
		require.NotEmpty(t, op["operationId"], pattern)
		require.Contains(t, []string{"agents", "knowledge", "web", "verification", "tasks"}, op.tag(), "a tag needs a test that ends with requireAllOf")
		for _, in := range []string{"path", "query"} {
			var names []string
			for f := range fields(e.in) {
				if name, ok := f.Tag.Lookup(in); ok {
					names = append(names, name)
				}
			}
			require.ElementsMatch(t, names, op.parameters(in), "%s, parameters in %s", pattern, in)
		}
		_, described := op["responses"].(object)[fmt.Sprint(e.status)]
		require.True(t, described, "%s: %d", pattern, e.status)
		if body, ok := e.in.FieldByName("Body"); ok {
			required, _ := op["requestBody"].(object)["required"].(bool)
			require.Equal(t, body.Tag.Get("body") != "optional", required, "%s, required body", pattern)
			require.NoError(t, doc.describes(op.request(), body.Type), "%s, request", pattern)
			require.NoError(t, doc.bounded(op.request(), pattern))
		} else {
			require.Nil(t, op.request(), pattern)
		}
		if e.out != nil {
			answer, _ := op.answer(doc, e.status)
			require.NoError(t, doc.describes(schemaOf(answer), e.out), "%s, answer", pattern)
		}
	}
	for pattern, body := range map[string]reflect.Type{
		"GET /stats": reflect.TypeFor[fxdb.Stats](), "GET /readyz": reflect.TypeFor[lifecycle.Health](), "GET /problems/{class}": reflect.TypeFor[problemClass](),
	} {
		answer, _ := doc.operations()[pattern].answer(doc, http.StatusOK)
		require.NoError(t, doc.describes(schemaOf(answer), body), pattern)
	}
	types := doc.resolve(object{"$ref": "#/components/schemas/Problem"})["properties"].(object)["type"].(object)["enum"]
	require.Len(t, types, len(allClasses))
	for _, c := range allClasses {
		require.Contains(t, types, problemPath+c.name)
	}
}

func TestNoRouteOfATenantAnswersWithoutOne(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newServer(t, testkit.Swap(t))
	for pattern := range (clients{}).routes() {
		method, path, _ := strings.Cut(pattern, " ")
		for _, tenant := range []string{"", " "} {
			status, body := call(t, method, s.URL+strings.NewReplacer("{", "", "}", "").Replace(path), tenant, "{}")
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", pattern, body)
			require.Contains(t, body, `"type":"/problems/tenant_`, pattern)
		}
	}
}

func TestTheRoutesOfThePoolAndAStop(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	s := newServer(t, testkit.Swap(t), fx.Populate(&db))
	for _, path := range []string{"/livez", "/readyz", "/stats"} {
		status, _ := call(t, http.MethodGet, s.URL+path, "", "")
		require.Equal(t, http.StatusOK, status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/openapi.yaml", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, description, got)

	for _, path := range []string{"/", "/metrics"} {
		resp, _ := ask(t, http.MethodGet, s.URL+path, "")
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	acme := caller{t, s, "acme"}
	acme.call("GET /problems/conflict", "", http.StatusOK, `"type":"/problems/conflict"`, `"status":409`)
	acme.call("GET /problems/boredom", "", http.StatusNotFound, `"type":"/problems/not_found"`)

	require.NoError(t, db.Close(t.Context()))
	status, _ := call(t, http.MethodGet, s.URL+"/readyz", "", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	acme.call("GET /agents", "", http.StatusServiceUnavailable, `"type":"/problems/stopping"`)
	s.Config.Handler.(*contract).requireAllOf("pool")
}

// A checker that finds nothing would hold nothing.
func TestTheContractFindsDrift(t *testing.T) {
	t.Parallel()
	doc := readDescription(t)
	load := object{"$ref": "#/components/schemas/Load"}
	require.NoError(t, doc.checkJSON(load, []byte(`{"active_tasks": 1, "queued_tasks": 0, "utilization_percent": 0.5}`)))
	for body, want := range map[string]string{
		`{"active_tasks": 1, "queued_tasks": 0}`:                                   "utilization_percent is missing",
		`{"active_tasks": 1, "queued_tasks": 0, "utilization_percent": 1, "x": 1}`: "x is not described",
		`{"active_tasks": 1.5, "queued_tasks": 0, "utilization_percent": 1}`:       "active_tasks: 1.5 is no integer",
		`{"active_tasks": null, "queued_tasks": 0, "utilization_percent": 1}`:      "active_tasks: <nil> is no integer",
		`{"active_tasks": "1", "queued_tasks": 0, "utilization_percent": 1}`:       "active_tasks: 1 is no integer",
		`[]`: "is no object",
	} {
		require.ErrorContains(t, doc.checkJSON(load, []byte(body)), want)
	}
	require.ErrorContains(t, doc.checkJSON(object{"enum": []any{"a"}}, []byte(`"b"`)), "is none of")
	require.ErrorContains(t, doc.checkJSON(object{"type": "string", "format": "date-time"}, []byte(`"soon"`)), "date-time")
	require.ErrorContains(t, doc.checkJSON(object{"oneOf": []any{object{"type": "string"}, object{"type": "null"}}}, []byte(`1`)), "is none of")
	require.ErrorContains(t, doc.checkJSON(object{"multipleOf": 1}, []byte(`1`)), "multipleOf")
	require.Error(t, doc.describes(load, reflect.TypeFor[affected]()))
	require.Len(t, doc.spoiled(object{
		"type": "object", "additionalProperties": false, "required": []any{"n"},
		"properties": object{"n": object{"type": "integer", "minimum": 1, "maximum": 3}},
	}, []byte(`{"n": 1}`)), 4, "without n, with one more, and beyond both bounds")
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous && f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func readDescription(t testing.TB) document31 {
	t.Helper()
	var doc object
	require.NoError(t, yaml.Unmarshal(description, &doc))
	return doc
}
