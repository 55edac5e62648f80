package main

import (
	"testing"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestVerificationOverHTTP(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, globex := newCallers(t)

	const request = `{"id": "r1", "content": "A pool drains.", "source": "manual", "priority": "high", "timeout_ns": 1000000000, "types": ["fact_checking"], "metadata": {"task": "t1"}}`
	acme.call("POST /verification/requests", request, 201, `{"id":"r1"}`)
	acme.call("POST /verification/requests", `{"id": "r2", "content": "A pool leaks."}`, 201)
	globex.call("POST /verification/requests", `{"id": "r1", "content": "Ours."}`, 201)
	acme.call("POST /verification/requests", `{"id": "r3"}`, 400, `content must`)
	acme.call("GET /verification/requests", "", 200, `"id":"r1"`, `"id":"r2"`, `"priority":"medium"`)
	acme.call("GET /verification/requests?limit=1", "", 200, `{"requests":[{"id":"r1"`)
	page := acme.call("GET /verification/requests?limit=1", "", 200)
	acme.call("GET /verification/requests?limit=1&after="+page["next"].(string), "", 200, `{"requests":[{"id":"r2"`)
	acme.call("GET /verification/requests?after=none", "", 400, `after must be the next of an earlier page`)
	acme.call("GET /verification/requests?status=odd", "", 400, `status must be one of`)
	acme.call("GET /verification/requests?status=cancelled", "", 200, `{"requests":[]}`)
	acme.call("GET /verification/requests?limit=1001", "", 400, `limit must be a whole number from 1 to 1000`)
	globex.call("GET /verification/requests", "", 200, `"content":"Ours."`)

	acme.call("PUT /verification/requests/r1/status", `{"status": "processing"}`, 204)
	acme.call("PUT /verification/requests/r1/status", `{"status": "odd"}`, 400)
	acme.call("PUT /verification/requests/r9/status", `{"status": "processing"}`, 404)
	acme.call("POST /verification/requests", request, 409, `request is not pending any more`)
	acme.call("PUT /verification/requests/r2/status", `{"status": "cancelled", "processing_time_ns": 1000000, "error": "not needed", "error_code": "none"}`, 204)
	acme.call("PUT /verification/requests/r2/status", `{"status": "processing"}`, 409, `request is cancelled`)

	const verdict = `{"verdict": "verified_true", "confidence": 0.9, "reasoning": ["the manual says so"], "processing_time_ns": 5000000,
		"supporting": [{"source": "https://example.com/drain", "content": "A stop is bounded.", "relevance": 0.9, "credibility": 0.8, "type": "factual", "method": "fact_checking", "title": "Drain"}],
		"contradicting": [{"source": "https://example.com/rumours", "content": "Nobody drains.", "relevance": 0.2, "credibility": 0.1}],
		"methods": [{"method": "fact_checking", "verdict": "verified_true", "confidence": 0.9, "processing_time_ns": 4000000, "evidence_count": 2}]}`
	result := acme.id("POST /verification/requests/r1/results", verdict, 201)
	acme.call("POST /verification/requests/r2/results", verdict, 409)
	acme.call("POST /verification/requests/r9/results", verdict, 404, `request not found`)
	acme.call("POST /verification/requests/r1/results", `{"verdict": "maybe", "confidence": 1}`, 400, `verdict must`)
	acme.call("POST /verification/requests/r1/results", `{"verdict": "mixed", "consensus": 1}`, 400, `unknown field`)
	acme.call("POST /verification/results/"+result+"/evidence", `{"evidence": [{"source": "https://example.com/more", "content": "More.", "relevance": 1, "credibility": 1, "supporting": true}]}`, 204)
	acme.call("POST /verification/results/"+unknown+"/evidence", `{"evidence": [{"source": "https://example.com/more", "content": "More.", "relevance": 1, "credibility": 1, "supporting": true}]}`, 404)
	globex.call("POST /verification/results/"+result+"/evidence", `{"evidence": [{"source": "https://example.com/more", "content": "More.", "relevance": 1, "credibility": 1, "supporting": true}]}`, 404)
	acme.call("POST /verification/results/x/evidence", `{"evidence": []}`, 400)
	const known = `"id": "11111111-1111-4111-8111-111111111111", "source": "https://example.com/", "content": "x", "relevance": 1, "credibility": 1, "supporting": true`
	acme.call("POST /verification/results/"+result+"/evidence", `{"evidence": [{`+known+`}]}`, 204)
	acme.call("POST /verification/results/"+result+"/evidence", `{"evidence": [{`+known+`}]}`, 409)
	acme.call("GET /verification/requests/r1/results/newest", "", 200, result, `"consensus":1`, `"content":"More."`)
	acme.call("GET /verification/requests/r1/results", "", 200, result, `"content":"More."`)
	acme.call("GET /verification/requests/r2/results", "", 200, `{"results":[]}`)
	acme.call("GET /verification/requests/r9/results", "", 404, `request not found`)
	acme.call("GET /verification/requests/r1", "", 200, `"content":"A pool drains."`, `"status":"completed"`)
	acme.call("GET /verification/requests/r9", "", 404, `request not found`)
	acme.call("GET /verification/requests?status=cancelled", "", 200, `"id":"r2"`, `"error_code":"none"`)
	acme.call("GET /verification/requests/r2/results/newest", "", 404, `result not found`)
	globex.call("GET /verification/requests/r1/results/newest", "", 404)
	acme.call("GET /verification/evidence/quality", "", 200, `"method":"fact_checking"`)
	globex.call("GET /verification/evidence/quality", "", 200, `{"methods":[]}`)

	acme.call("GET /verification/methods", "", 200, `"type":"cross_reference"`)

	const question = `{"content": "A pool drains.", "types": ["fact_checking"]}`
	acme.call("POST /verification/cache/lookup", question, 404)
	acme.call("POST /verification/cache/lookup", `{}`, 400, `content must`)
	acme.call("PUT /verification/cache", `{"question": `+question+`, "request_id": "r1", "result": `+verdict+`, "ttl_ns": 60000000000}`, 204)
	acme.call("PUT /verification/cache", `{"question": `+question+`, "request_id": "r1", "result": `+verdict+`}`, 400, `ttl_ns must`)
	acme.call("POST /verification/cache/lookup", question, 200, `"verdict":"verified_true"`)
	globex.call("POST /verification/cache/lookup", question, 404)
	acme.call("GET /verification/cache", "", 200, `"hits":1`)
	acme.call("POST /verification/cache/purge", "", 200, `{"count":0}`)
	acme.server.Config.Handler.(*contract).requireAllOf("verification")
}
