package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// secret is in every text that a tenant writes: it is an id, a host name and a text.
const secret = "s3cret-of-acme"

// write is a request whose body says the secret wherever the description has a free text.
// In its path, ID is the secret and {name} an id of an earlier answer.
type write struct {
	op   string
	set  object // top-level values that the description leaves out
	keep string // the name of the answer's id
}

// writes are all routes that take a body, in an order in which all succeed. An absent
// value leaves a field out.
var writes = []write{
	{op: "POST /agents"},
	{op: "PATCH /agents/ID"},
	{op: "POST /agents/ID/load"},
	{op: "POST /agents/ID/performance"},
	{op: "POST /agents/search", set: object{"after": absent}},
	{op: "POST /agents/purge"},
	{op: "POST /knowledge/queries"},
	{op: "POST /knowledge/queries/ID/results"},
	{op: "POST /knowledge/queries/ID/response", set: object{"complete_query": false}},
	{op: "PUT /knowledge/queries/ID/status", set: object{"status": "failed"}},
	{op: "PUT /knowledge/sources/ID/entities/ID", keep: "entry"},
	{op: "POST /knowledge/entries/{entry}/feedback"},
	{op: "POST /knowledge/search", set: object{"after": absent}},
	{op: "PUT /knowledge/cache/ID"},
	{op: "POST /web/contents", set: object{"id": absent}, keep: "content"},
	{op: "POST /web/contents/{content}/metrics"},
	{op: "PUT /web/cache", set: object{"content_id": "{content}"}},
	{op: "POST /web/traversals", keep: "traversal"},
	{op: "POST /web/nodes", set: object{"traversal_id": "{traversal}", "parent_id": absent}, keep: "node"},
	{op: "PUT /web/nodes/{node}/status", set: object{"status": "error", "content_id": "{content}"}},
	{op: "POST /web/rate-limits/ID/requests"},
	{op: "PUT /web/traversals/ID/status", set: object{"status": "failed"}},
	{op: "POST /verification/requests"},
	{op: "PUT /verification/requests/ID/status", set: object{"status": "processing"}},
	{op: "POST /verification/requests/ID/results", set: object{"verdict": "error"}, keep: "result"},
	{op: "POST /verification/results/{result}/evidence"},
	{op: "PUT /verification/cache"},
	{op: "POST /verification/cache/lookup"},
	{op: "POST /tasks/batch"},
	{op: "POST /tasks", set: object{"max_attempts": 3}},
	{op: "POST /queue/claim"},
	{op: "POST /tasks/ID/assignments", set: object{"held": absent}},
	{op: "PATCH /assignments/ID", set: object{"status": "acknowledged"}},
	{op: "POST /tasks/ID/executions", set: object{"id": absent, "completed_at": absent, "started_at": absent, "success": absent, "attempt": absent}},
	{op: "POST /tasks/ID/fail", set: object{"held": absent, "retry": false}},
	{op: "POST /tasks/ID/retry", set: object{"held": absent}},
	{op: "POST /queue/claim"},
	{op: "POST /tasks/ID/complete", set: object{"held": absent}},
	{op: "POST /queue/purge"},
}

// absent is a value that is left out.
var absent = new(int)

// fill is a value that the schema allows, with the secret in its texts.
func (d document31) fill(name string, schema object) any {
	schema = d.resolve(schema)
	if many, ok := schema["oneOf"].([]any); ok {
		return d.fill(name, many[0].(object))
	}
	kind := schema["type"]
	if many, ok := kind.([]any); ok {
		kind = many[0]
	}
	enum, _ := schema["enum"].([]any)
	switch {
	case len(enum) > 0:
		return enum[0]
	case slices.Contains([]string{"content_hash", "embedding"}, name):
		return absent
	case schema["format"] == "date-time":
		return "2026-01-02T03:04:05Z"
	case schema["format"] == "uuid":
		return absent
	case strings.HasSuffix(name, "_ns"):
		return 60_000_000_000
	}
	switch kind {
	case "string":
		return secret
	case "integer":
		return 1
	case "number":
		return 0.5
	case "boolean":
		return true
	case "array":
		if one := d.fill(name, schema["items"].(object)); one != any(absent) {
			return []any{one}
		}
		return []any{}
	case "object":
		return d.fillObject(schema)
	}
	return secret // any JSON
}

func (d document31) fillObject(schema object) object {
	out := object{}
	known, _ := schema["properties"].(object)
	for name, of := range known {
		if v := d.fill(name, of.(object)); v != any(absent) {
			out[name] = v
		}
	}
	if list, ok := out["contradicting"].([]any); ok {
		list[0].(object)["supporting"] = false
	}
	switch others := schema["additionalProperties"].(type) {
	case object:
		if others["$ref"] == "#/components/schemas/JSON" { // any JSON, and so on
			out[secret] = secret
		} else {
			out[secret] = d.fill("", others)
		}
	case bool:
		if others {
			out[secret] = secret
		}
	}
	return out
}

// writeAll makes all writes as the caller, and returns the ids of the answers.
func (c caller) writeAll(doc document31, mine string) map[string]string {
	c.t.Helper()
	ids, sent := map[string]string{}, map[string]bool{}
	insert := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		return strings.ReplaceAll(text, secret, mine)
	}
	mux := http.NewServeMux()
	for pattern := range doc.operations() {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	for _, w := range writes {
		method, path, _ := strings.Cut(w.op, " ")
		path = insert(strings.ReplaceAll(path, "ID", secret))
		r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path, nil)
		require.NoError(c.t, err)
		_, pattern := mux.Handler(r)
		sent[pattern] = true
		body := doc.fill("", doc.operations()[pattern].request()).(object)
		for name, v := range w.set {
			if body[name] = v; v == any(absent) {
				delete(body, name)
			}
		}
		raw, err := json.Marshal(body)
		require.NoError(c.t, err)
		status, text := call(c.t, method, c.server.URL+path, c.tenant, insert(string(raw)))
		require.Less(c.t, status, 300, "%s: %s\n%s", w.op, text, raw)
		if w.keep != "" {
			var answer struct{ ID string }
			require.NoError(c.t, json.Unmarshal([]byte(text), &answer))
			ids[w.keep] = answer.ID
		}
	}
	for pattern, op := range doc.operations() {
		if op.request() != nil {
			require.True(c.t, sent[pattern], "%s takes a body: write the secret there too", pattern)
		}
	}
	return ids
}

// What one tenant writes, through every text of every route, no other tenant reads, by
// any route; nor does who reads the log or the statistics.
func TestASecretIsInNoAnswerToAnotherTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.DebugLevel)
	everyStatement := testkit.Config(func(c *fxdb.Config) { c.SlowQuery = time.Nanosecond })
	s := httptest.NewServer(newAPI(t, testkit.Swap(t, everyStatement), fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.New(core) })))
	t.Cleanup(s.Close)
	acme, globex := caller{t, s, "acme"}, caller{t, s, "globex"}
	doc := readDescription(t)
	ids := acme.writeAll(doc, secret)
	globex.writeAll(doc, "own-text-of-globex") // the same routes, so that each has something to say

	asked, taken := 0, map[string]bool{}
	// A PUT of globex's makes what has the id in its path: these come last.
	order := []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodPut}
	patterns := slices.SortedFunc(maps.Keys(doc.operations()), func(a, b string) int {
		place := func(pattern string) int {
			method, _, _ := strings.Cut(pattern, " ")
			return slices.Index(order, method)
		}
		return cmp.Or(place(a)-place(b), strings.Compare(a, b))
	})
	for _, pattern := range patterns {
		op := doc.operations()[pattern]
		method, path, _ := strings.Cut(pattern, " ")
		paths := []string{path}
		if strings.Contains(path, "{") {
			paths = nil
			for _, id := range append([]string{secret, "own-text-of-globex"}, ids["entry"], ids["content"], ids["result"], ids["node"]) {
				one := path
				for _, name := range op.parameters("path") {
					one = strings.ReplaceAll(one, "{"+name+"}", url.PathEscape(id))
				}
				paths = append(paths, one)
			}
		}
		var body []byte
		if schema := op.request(); schema != nil {
			var err error
			body, err = json.Marshal(doc.fill("", schema))
			require.NoError(t, err)
			body = []byte(strings.ReplaceAll(string(body), secret, "own-text-of-globex"))
		}
		for _, path := range paths {
			for _, query := range []string{"", "?url=" + secret, "?limit=1000", "?overdue=true", "?status=failed", "?status=error", "?status=completed", "?status=dequeued", "?agent=" + secret, "?task_type=" + secret, "?language=" + secret, "?source=" + secret} {
				if query != "" && method != http.MethodGet {
					continue
				}
				status, answer := globex.text(method, path+query, string(body))
				require.NotContains(t, answer, secret, "%s %s%s", method, path, query)
				asked++
				require.NotEqual(t, http.StatusUnsupportedMediaType, status, "%s %s: no route has seen the body", method, path)
				if status < 300 && body != nil {
					taken[pattern] = true
				}
			}
		}
	}
	require.Greater(t, asked, 200)
	require.Greater(t, len(taken), 10, "routes that took the body: %v", taken)
	require.Greater(t, logs.FilterMessage("slow statement").Len(), 100, "the log is of the statements")
	for _, e := range logs.All() {
		line := fmt.Sprint(e.Message, e.ContextMap())
		require.NotContains(t, line, secret)
		require.NotContains(t, line, "own-text-of-globex")
	}
	require.NotContains(t, statsFor(t, acme.server.URL, "", ""), secret, "an operator sees tenants' names, not their texts")

	// The search finds a secret that is there: acme reads its own.
	for _, path := range []string{
		"/agents", "/agents?language=" + secret, "/agents/" + secret + "/performance", "/verification/methods",
		"/verification/requests/" + secret, "/verification/requests/" + secret + "/results", "/verification/requests?status=failed",
		"/knowledge/queries", "/knowledge/queries/" + secret, "/knowledge/queries/" + secret + "/results", "/knowledge/queries/" + secret + "/responses",
		"/web/contents/" + ids["content"], "/web/contents/" + ids["content"] + "/metrics", "/web/nodes/" + ids["node"],
		"/web/traversals", "/web/traversals/" + secret, "/web/traversals/" + secret + "/nodes?status=error", "/tasks?status=completed",
	} {
		_, answer := acme.text(http.MethodGet, path, "")
		require.Contains(t, answer, secret, path)
	}
}

// text is the answer, whatever its status, headers included.
func (c caller) text(method, path, body string) (status int, text string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("X-Tenant-ID", c.tenant)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.Less(c.t, resp.StatusCode, 500, "%s %s: %s", method, path, raw)
	return resp.StatusCode, fmt.Sprint(resp.Header) + string(raw)
}
