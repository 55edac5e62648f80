package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestTheWebNavigatorOverHTTP(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var operator *webnavigator.Client
	acme, globex := newCallers(t, fx.Populate(&operator))

	const page = `{"url": "https://example.com/", "title": "Example", "text": "An example.", "html": "<p>An example.</p>",
		"links": [{"url": "https://example.com/a", "text": "a", "type": "internal", "relevance": 0.5}],
		"images": [{"url": "https://example.com/i.png", "alt": "i", "width": 1, "height": 2}],
		"metadata": {"language": "en", "status_code": 200, "open_graph": {"type": "website"}}, "quality": "high", "quality_detail": {"words": 2}, "extraction_time_ns": 5000000}`
	id := acme.id("POST /web/contents", page, 200)
	acme.call("POST /web/contents", page, 200, id, `"inserted":false`)
	acme.call("POST /web/contents", `{"id": "`+id+`", "url": "https://example.com/"}`, 400, `id is made by the server`)
	acme.call("POST /web/contents", `{}`, 400, `url must`)
	acme.call("POST /web/contents/"+id+"/metrics", `{"total_ns": 9000000, "fetch_ns": 5000000, "status_code": 200, "content_type": "text/html"}`, 204)
	acme.call("POST /web/contents/"+unknown+"/metrics", `{"status_code": 200}`, 404)
	globex.call("POST /web/contents/"+id+"/metrics", `{"status_code": 200}`, 404)
	acme.call("POST /web/contents/"+id+"/metrics", `{"total_ns": -1}`, 400)

	acme.call("GET /web/contents/"+id, "", 200, `"title":"Example"`, `"words":2`)
	acme.call("GET /web/contents/"+unknown, "", 404, `content not found`)
	globex.call("GET /web/contents/"+id, "", 404)
	acme.call("GET /web/contents/x", "", 400, `id must be a UUID`)
	acme.call("GET /web/contents/"+id+"/metrics", "", 200, `"total_ns":9000000`, `"content_type":"text/html"`)
	acme.call("GET /web/contents/"+unknown+"/metrics", "", 404, `content not found`)
	globex.call("GET /web/contents/"+id+"/metrics", "", 404)
	acme.call("PUT /web/cache", `{"url": "https://example.com/", "content_id": "`+id+`", "ttl_ns": 60000000000}`, 204)
	acme.call("PUT /web/cache", `{"url": "https://example.com/", "content_id": "`+unknown+`"}`, 404)
	acme.call("PUT /web/cache", `{"url": ""}`, 400)
	acme.call("GET /web/cache?url=https://example.com/", "", 200, id, `"words":2`)
	acme.call("GET /web/cache?url=https://example.com/none", "", 404)
	acme.call("GET /web/cache", "", 400, `url must`)
	acme.call("GET /web/cache?url=", "", 400, `url is empty`)
	globex.call("GET /web/cache?url=https://example.com/", "", 404)
	acme.call("GET /web/cache/stats", "", 200, `"entries":1`, `"hits":1`, `"under_1h":1`)
	acme.call("POST /web/purge", "", 200, `"cache_rows":0`)
	// The least that is a page.
	least := acme.id("POST /web/contents", `{"url": "https://example.com/least"}`, 200)
	acme.call("PUT /web/cache", `{"url": "https://example.com/least", "content_id": "`+least+`"}`, 204)
	acme.call("GET /web/cache?url=https://example.com/least", "", 200, `"quality":"unknown"`)

	const traversal = `{"session_id": "s1", "start_url": "https://example.com/", "max_depth": 2, "max_pages": 10, "strategy": "breadth_first", "same_domain_only": true}`
	walk := acme.id("POST /web/traversals", traversal, 201)
	acme.call("POST /web/traversals", traversal, 409)
	globex.call("POST /web/traversals", traversal, 201)
	acme.call("POST /web/traversals", `{"session_id": "s2"}`, 400)
	node := acme.id("POST /web/nodes", `{"traversal_id": "`+walk+`", "url": "https://example.com/", "depth": 0}`, 200)
	acme.call("POST /web/nodes", `{"traversal_id": "`+walk+`", "url": "https://example.com/", "depth": 0}`, 200, node, `"existed":true`)
	acme.call("POST /web/nodes", `{"traversal_id": "`+walk+`", "url": "https://example.com/a", "depth": 1, "parent_id": "`+node+`", "link_text": "a", "link_type": "internal"}`, 200)
	acme.call("POST /web/nodes", `{"traversal_id": "`+unknown+`", "url": "https://example.com/", "depth": 0}`, 404)
	globex.call("POST /web/nodes", `{"traversal_id": "`+walk+`", "url": "https://example.com/", "depth": 0}`, 404)
	acme.call("POST /web/nodes", `{"traversal_id": "`+walk+`", "url": "", "depth": 0}`, 400)
	acme.call("PUT /web/nodes/"+node+"/status", `{"status": "visited", "content_id": "`+id+`"}`, 204)
	acme.call("PUT /web/nodes/"+node+"/status", `{"status": "odd"}`, 400)
	acme.call("PUT /web/nodes/"+unknown+"/status", `{"status": "visited"}`, 404, `node not found`)
	acme.call("PUT /web/nodes/"+node+"/status", `{"status": "visited", "content_id": "`+unknown+`"}`, 404)
	acme.call("POST /web/traversals/s1/rate-limits", "", 204)
	acme.call("POST /web/traversals/s9/rate-limits", "", 404)
	acme.call("PUT /web/nodes/"+node+"/status", `{"status": "pending"}`, 409, `page is visited`)
	acme.call("PUT /web/traversals/s1/status", `{"status": "completed"}`, 204)
	for op, body := range map[string]string{
		"POST /web/nodes":                     `{"traversal_id": "` + walk + `", "url": "https://example.com/late", "depth": 0}`,
		"PUT /web/nodes/" + node + "/status":  `{"status": "visited"}`,
		"POST /web/traversals/s1/rate-limits": "",
	} {
		acme.call(op, body, 409, `traversal is completed: its status does not allow this: start a new traversal`)
	}
	acme.call("PUT /web/traversals/s1/status", `{"status": "odd"}`, 400)
	acme.call("PUT /web/traversals/s1/status", `{"status": "running"}`, 409, `traversal is completed`)
	acme.call("PUT /web/traversals/s9/status", `{"status": "completed"}`, 404)
	acme.call("GET /web/traversals", "", 200, `"session_id":"s1"`, walk)
	acme.call("GET /web/traversals?status=failed", "", 200, `{"traversals":[]}`)
	acme.call("GET /web/traversals?status=odd", "", 400, `status must be one of`)
	acme.call("GET /web/traversals/s1", "", 200, walk, `"start_url":"https://example.com/"`, `"status":"completed"`)
	acme.call("GET /web/traversals/s9", "", 404, `traversal not found`)
	page1 := acme.call("GET /web/traversals/s1/nodes?limit=1", "", 200, node, `"status":"visited"`, id)
	acme.call("GET /web/traversals/s1/nodes?after="+page1["next"].(string), "", 200, `"link_text":"a"`, `"status":"pending"`)
	acme.call("GET /web/traversals/s1/nodes?status=error", "", 200, `{"nodes":[]}`)
	acme.call("GET /web/traversals/s9/nodes", "", 404, `traversal not found`)
	acme.call("GET /web/nodes/"+node, "", 200, `"content_id":"`+id)
	globex.call("GET /web/nodes/"+node, "", 404, `node not found`)
	acme.call("GET /web/traversals/s1/stats", "", 200, `"pages_visited":1`, `"pages_pending":1`, `"rate_limit_encounters":1`, `"status":"completed"`)
	globex.call("GET /web/traversals/s1/stats", "", 200, `"pages_visited":0`)
	acme.call("GET /web/traversals/s9/stats", "", 404)

	const site = "/web/rate-limits/example.com"
	acme.call("GET "+site, "", 404)
	acme.call("POST "+site+"/requests", `{"limit": 1, "window_ns": 3600000000000}`, 200, `"count":1,"allowed":true,"retry_after_ns":0`)
	acme.call("POST "+site+"/requests", `{"limit": 1}`, 200, `"count":2,"allowed":false`)
	globex.call("GET "+site, "", 404)
	acme.call("POST "+site+"/requests", `{}`, 400, `limit must`)
	acme.call("GET /web/rate-limits", "", 200, `{"domains":[]}`)
	for _, site := range []string{"a.example", "b.example", "c.example"} {
		require.NoError(t, operator.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: site, Status: webnavigator.RateBlocked}))
	}
	acme.call("GET /web/rate-limits?limit=2", "", 200, "a.example", "b.example", `"next":"b.example"`)
	acme.call("GET /web/rate-limits?limit=2&after=b.example", "", 200, `{"domains":[{"domain":"c.example","status":"blocked","retry_after_ns":0}]}`)
	acme.call("GET /web/rate-limits?limit=1001", "", 400, `limit must`)
	acme.call("GET "+site, "", 200, `"status":"ok"`, `"total_requests":2`)
	acme.server.Config.Handler.(*contract).requireAllOf("web")
}
