package main

import (
	"net/http"
	"testing"

	"github.com/agentagency/onepool/internal/testing/size"
)

// What is wrong in a body has the name that the request has for the field.
func TestAProblemNamesTheRequestsField(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	for _, step := range []struct{ op, body, detail string }{
		{"POST /agents", `{"name": "a", "name": "b", "model_family": "x"}`, `the field \"name\" is there more than once`},
		{"POST /agents", `{"Name": "a", "model_family": "x"}`, `unknown field \"Name\"`},
		{"POST /agents", `{"name": 5, "model_family": "x"}`, `"detail":"name must be a string"`},
		{"POST /agents", `{"name": null, "model_family": "x"}`, `"detail":"name must be a string"`},
		{"POST /agents", `{"name": "a", "model_family": "x", "capabilities": {"languages": ["Go", 5]}}`, `"detail":"capabilities.languages[1] must be a string"`},
		{"POST /agents", `{"name": "a", "model_family": "x", "max_concurrent_tasks": 1.5}`, `"detail":"max_concurrent_tasks must be a whole number`},
		{"POST /agents", `{"id": "stats", "name": "a", "model_family": "x"}`, `"detail":"id must not be stats`},
		{"POST /agents", `[]`, `"detail":"the body must be an object"`},
		{"POST /agents", "{\"name\": \"\xff\", \"model_family\": \"x\"}", `"detail":"the body is not UTF-8"`},
		{"PATCH /agents/a", `{"last_active_at": "yesterday"}`, `"detail":"last_active_at must be a time such as`},
		{"POST /agents/purge", `{"inactive_for_ns": 0}`, `"detail":"inactive_for_ns must be`},
		{"POST /tasks", `{"id": "t", "type": "general", "metadata": {"a": {"b": 1, "b": 2}}}`, `the field \"metadata.a.b\" is there more than once`},
		{"POST /tasks", `{"id": "t", "type": "general", "metadata": {"a": 1e400}}`, `"detail":"metadata.a must be a number that a double holds"`},
		{"POST /queue/claim", `{"worker": "w", "count": 5000}`, `"detail":"count must be`},
		{"POST /queue/purge", `{"finished_for_ns": -1}`, `"detail":"finished_for_ns must`},
		{"POST /knowledge/search", `{"embedding": [1]}`, `"detail":"embedding must`},
		{"POST /tasks/t/fail", `{"error": "\u0000"}`, `"detail":"error must be text`},
		{"PUT /knowledge/cache/k", `{"content": 1, "ttl_ns": 1000000000, "type": "nonsense"}`, `"detail":"type must be`},
		{"POST /web/rate-limits/example.com/requests", `{"limit": 1, "window_ns": 1}`, `"detail":"window_ns must be`},
		{"POST /verification/requests", `{"id": "r", "content": "c", "timeout_ns": 1}`, `"detail":"timeout_ns must be`},
	} {
		acme.call(step.op, step.body, http.StatusBadRequest, step.detail)
	}
}

func TestNoBodyIsNeededForAnIDAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	for _, id := range []string{"a", "b", "c"} {
		acme.call("POST /tasks", `{"id": "`+id+`", "type": "general"}`, http.StatusCreated)
	}
	acme.call("POST /queue/claim", `{"worker": "w", "count": 3}`, http.StatusOK)
	acme.call("POST /tasks/a/complete", "", http.StatusNoContent)
	acme.call("POST /tasks/b/fail", "", http.StatusOK)
	acme.call("POST /tasks/c/retry", "", http.StatusOK)
	acme.call("POST /queue/purge", "", http.StatusOK)
	acme.call("POST /queue/claim", "", http.StatusBadRequest, "the body is empty")
}
