package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/knowledge"
)

// axis is an embedding, in JSON.
var axis = "[0,0,0,1" + strings.Repeat(",0", knowledge.Dimensions-4) + "]"

const unknown = "00000000-0000-0000-0000-000000000000"

func TestKnowledgeOverHTTP(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var c *knowledge.Client
	acme, globex := newCallers(t, fx.Populate(&c))

	const query = `{"id": "q1", "text": "What drains a pool?", "type": "technical", "max_results": 5, "relevance_threshold": 0.5,
		"timeout_ns": 1000000000, "requester_id": "ada", "priority": 5, "tags": ["pool"], "pending": true}`
	acme.call("POST /knowledge/queries", query, 201, `{"id":"q1"}`)
	acme.call("POST /knowledge/queries", query, 409, `"type":"/problems/conflict"`)
	globex.call("POST /knowledge/queries", query, 201, `{"id":"q1"}`)
	acme.call("POST /knowledge/queries", `{"text": "?", "type": "rumour"}`, 400, `type must be one of`)
	acme.call("POST /knowledge/queries", `{"text": "?", "status": "completed"}`, 400, `unknown field`)
	acme.call("PUT /knowledge/queries/q1/status", `{"status": "processing"}`, 204)
	acme.call("PUT /knowledge/queries/q1/status", `{"status": "odd"}`, 400)
	acme.call("PUT /knowledge/queries/q2/status", `{"status": "processing"}`, 404, `query not found`)

	const results = `{"results": [
		{"title": "Drain", "content": "A stop is bounded.", "url": "https://example.com/drain", "domain": "example.com", "source_type": "documentation",
		 "relevance_score": 0.9, "credibility_score": 0.8, "provider": "local", "published_at": "2026-01-02T03:04:05Z"},
		{"query_id": "q1", "title": "Pool", "content": "One pool.", "url": "https://example.com/pool", "domain": "example.com", "source_type": "web", "relevance_score": 0, "credibility_score": 0, "provider": "local"}]}`
	acme.call("POST /knowledge/queries/q1/results", results, 200, `{"count":2}`)
	acme.call("POST /knowledge/queries/q1/results", results, 200, `{"count":0}`)
	acme.call("POST /knowledge/queries/q2/results", results, 400, `query_id is not the one in the path`)
	acme.call("POST /knowledge/queries/q2/results", `{"results": [{"title": "x", "url": "https://example.com/x", "domain": "x", "source_type": "web", "relevance_score": 1, "credibility_score": 1, "provider": "x"}]}`, 404, `"type":"/problems/unknown_reference"`)
	acme.id("POST /knowledge/queries/q1/response", `{"summary": "Nothing.", "confidence": 0.8, "sources_used": ["local"], "complete_query": true}`, 201)
	acme.call("POST /knowledge/queries/q1/response", `{"confidence": 2}`, 400, `confidence must be`)
	acme.call("POST /knowledge/queries/q2/response", `{"confidence": 0.5}`, 404)
	acme.call("PUT /knowledge/queries/q1/status", `{"status": "pending"}`, 409, `query is completed`)
	acme.call("POST /knowledge/queries/q1/results", results, 409, `query is completed: its status does not allow this: store a new query`)
	acme.id("POST /knowledge/queries/q1/response", `{"summary": "Again.", "confidence": 0.8}`, 201)
	acme.call("POST /knowledge/queries", strings.Replace(query, "q1", "q3", 1), 201)
	acme.call("PUT /knowledge/queries/q3/status", `{"status": "failed", "error": "no network"}`, 204)
	acme.call("POST /knowledge/queries/q3/response", `{"confidence": 0.5, "complete_query": true}`, 409, `query is failed`, `set the query's status to processing first`)
	acme.call("GET /knowledge/queries?status=failed", "", 200, `{"queries":[{"id":"q3"`, `"error":"no network"`)
	acme.call("GET /knowledge/queries/q1", "", 200, `"text":"What drains a pool?"`, `"timeout_ns":1000000000`, `"tags":["pool"]`, `"status":"completed"`, `"error":null`)
	acme.call("GET /knowledge/queries/q2", "", 404, `query not found`)
	acme.call("GET /knowledge/queries", "", 200, `{"queries":[{"id":"q3"`, `"id":"q1"`)
	acme.call("GET /knowledge/queries?status=pending", "", 200, `{"queries":[]}`)
	acme.call("GET /knowledge/queries?status=odd", "", 400, `status must be one of`)
	globex.call("GET /knowledge/queries?status=pending", "", 200, `"id":"q1"`)
	page := acme.call("GET /knowledge/queries/q1/results?limit=1", "", 200, `"title":"Drain"`, `"published_at":"2026-01-02T03:04:05Z"`)
	acme.call("GET /knowledge/queries/q1/results?limit=1&after="+page["next"].(string), "", 200, `"title":"Pool"`)
	acme.call("GET /knowledge/queries/q1/results?after=q1", "", 400, `after must be the next of an earlier page`)
	acme.call("GET /knowledge/queries/q2/results", "", 404, `query not found`)
	globex.call("GET /knowledge/queries/q1/results", "", 200, `{"results":[]}`)
	acme.call("GET /knowledge/queries/q1/responses", "", 200, `"summary":"Nothing."`, `"avg_relevance":null`)
	acme.call("GET /knowledge/queries/q2/responses", "", 404, `query not found`)
	globex.call("GET /knowledge/queries/q1/responses", "", 200, `{"responses":[]}`)

	const drain = "/knowledge/sources/manual/entities/drain"
	const entry = `{"kind": "chapter", "name": "Draining", "body": "A stop waits for work in flight, and is bounded.", "confidence": 0.5, "embedding_model": "axes", "embedding": `
	id := acme.id("PUT "+drain, entry+axis+`}`, 200)
	require.Equal(t, id, acme.id("PUT "+drain, entry+axis+`}`, 200), "it says the same")
	acme.call("PUT "+drain, `{"kind": "chapter", "name": "x", "status": "archived"}`, 400, `unknown field`)
	acme.call("PUT "+drain, entry+`[1, 2]}`, 400, `embedding must`)
	acme.call("PUT /knowledge/sources/manual/entities/pool", `{"kind": "chapter", "name": "Pooling", "body": "Connections are shared."}`, 200)
	acme.call("PUT /knowledge/sources/rumours/entities/"+url.PathEscape("a/b c"), `{"kind": "gossip", "name": "Nobody drains"}`, 200)
	acme.call("GET "+drain, "", 200, `"canonical_name":"draining"`, `"status":"active"`, `"embedding":[0,0,0,1,`)
	acme.call("GET /knowledge/sources/rumours/entities/a%2Fb%20c", "", 200, `"entity_id":"a/b c"`)
	globex.call("GET "+drain, "", 404, `entry not found`)
	acme.call("GET /knowledge/stats", "", 200, `"active":3`)
	acme.call("GET /knowledge/stats?source=manual&kind=chapter", "", 200, `"active":2`)
	acme.call("GET /knowledge/stats?sauce=manual", "", 400, `there is no parameter \"sauce\": use source, kind`)
	globex.call("GET /knowledge/stats", "", 200, `"active":0`)

	names := func(body string) (names []string) {
		for _, h := range acme.call("POST /knowledge/search", body, 200)["hits"].([]any) {
			names = append(names, h.(map[string]any)["entity_id"].(string))
		}
		return names
	}
	for body, want := range map[string][]string{
		`{"text": "stops in flight"}`:                   {"drain"},
		`{"text": "draining", "sources": ["rumours"]}`:  {"a/b c"},
		`{"text": "juggling"}`:                          nil,
		`{"embedding": ` + axis + `, "k": 1}`:           {"drain"},
		`{"text": "shared", "embedding": ` + axis + `}`: {"drain", "pool"},
	} {
		got := names(body)
		require.ElementsMatch(t, want, got, cmp.Diff(want, got))
	}
	acme.call("POST /knowledge/search", `{}`, 400, `text must`)
	acme.call("POST /knowledge/search", `{"text": "x", "k": 100000}`, 400, `k must`)
	globex.call("POST /knowledge/search", `{"text": "draining"}`, 200, `{"hits":[]}`)

	acme.call("POST /knowledge/entries/"+id+"/feedback", `{"success": true, "context": {"task": "t1"}}`, 200, `"confidence":0.55`)
	acme.call("POST /knowledge/entries/"+unknown+"/feedback", `{"success": true}`, 404)
	globex.call("POST /knowledge/entries/"+id+"/feedback", `{"success": false}`, 404)
	acme.call("POST /knowledge/entries/x/feedback", `{"success": true}`, 400, `must be a UUID`)
	acme.call("POST /knowledge/decay", "", 200, `"count":`)
	acme.call("DELETE /knowledge/sources/rumours", "", 200, `{"count":1}`)
	globex.call("DELETE /knowledge/sources/manual", "", 200, `{"count":0}`)

	acme.call("PUT /knowledge/cache/k%2F1", `{"content": {"a": [1, null]}, "ttl_ns": 60000000000, "type": "response"}`, 204)
	acme.call("PUT /knowledge/cache/k", `{"content": 1}`, 400, `ttl_ns must be more than 0`)
	acme.call("GET /knowledge/cache/k%2F1", "", 200, `{"content":{"a":[1,null]}}`)
	acme.call("GET /knowledge/cache/k2", "", 404)
	globex.call("GET /knowledge/cache/k%2F1", "", 404)
	acme.call("GET /knowledge/cache", "", 200, `"entries":1`, `"hits":1`, `"misses":1`)
	acme.call("POST /knowledge/cache/purge", "", 200, `{"count":0}`)

	acme.call("GET /knowledge/providers/local", "", 404, `provider not found`)
	require.NoError(t, c.SetProviderHealth(t.Context(), "local", knowledge.ProviderHealth{LastError: "gone"}))
	globex.call("GET /knowledge/providers/local", "", 200, `"consecutive_failures":1`)
	acme.server.Config.Handler.(*contract).requireAllOf("knowledge")
}
