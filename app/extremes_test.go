package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// timed are the requests that carry a time, with %s in its place.
var timed = map[string]string{
	"PATCH /agents/ada":                                   `{"last_active_at": %s}`,
	"POST /knowledge/queries":                             `{"text": "?", "type": "factual", "max_results": 1, "timeout_ns": 1000000000, "requester_id": "x", "priority": 1, "created_at": %s}`,
	"POST /knowledge/queries/q/results":                   `{"results": [{"title": "x", "url": "u", "domain": "d", "source_type": "web", "provider": "p", "relevance_score": 0.5, "credibility_score": 0.5, "published_at": %s}]}`,
	"POST /knowledge/queries/q/results?":                  `{"results": [{"title": "x", "url": "u", "domain": "d", "source_type": "web", "provider": "p", "relevance_score": 0.5, "credibility_score": 0.5, "retrieved_at": %s}]}`,
	"POST /knowledge/queries/q/results??":                 `{"results": [{"title": "x", "url": "u", "domain": "d", "source_type": "web", "provider": "p", "relevance_score": 0.5, "credibility_score": 0.5, "processed_at": %s}]}`,
	"POST /knowledge/queries/q/response":                  `{"confidence": 1, "responded_at": %s}`,
	"POST /knowledge/queries/q/response?":                 `{"confidence": 1, "results": [{"url": "u", "domain": "d", "source_type": "web", "provider": "p", "relevance_score": 0.5, "credibility_score": 0.5, "published_at": %s}]}`,
	"POST /web/contents":                                  `{"url": "https://example.com/", "extracted_at": %s}`,
	"POST /web/contents?":                                 `{"url": "https://example.com/", "metadata": {"last_modified": %s}}`,
	"POST /web/contents??":                                `{"url": "https://example.com/", "metadata": {"published_at": %s}}`,
	"POST /verification/requests/r/results":               `{"verdict": "mixed", "confidence": 1, "supporting": [{"content": "x", "relevance": 1, "credibility": 1, "published_at": %s}]}`,
	"POST /verification/requests/r/results?":              `{"verdict": "mixed", "confidence": 1, "contradicting": [{"content": "x", "relevance": 1, "credibility": 1, "verified_at": %s}]}`,
	"POST /verification/results/" + unknown + "/evidence": `{"evidence": [{"content": "x", "relevance": 1, "credibility": 1, "supporting": true, "published_at": %s}]}`,
	"PUT /verification/cache":                             `{"question": {"content": "x"}, "result": {"verdict": "mixed", "confidence": 1, "supporting": [{"content": "x", "relevance": 1, "credibility": 1, "published_at": %s}]}, "ttl_ns": 1000000000}`,
	"PUT /verification/cache?":                            `{"question": {"content": "x"}, "result": {"verdict": "mixed", "confidence": 1, "contradicting": [{"content": "x", "relevance": 1, "credibility": 1, "verified_at": %s}]}, "ttl_ns": 1000000000}`,
	"POST /tasks/t/executions":                            `{"agent_id": "a", "agent_name": "A", "started_at": %s}`,
	"POST /tasks/t/executions?":                           `{"agent_id": "a", "agent_name": "A", "success": true, "completed_at": %s}`,
}

// prepareTexts makes a query and a request.
func prepareTexts(acme caller) {
	acme.call("POST /knowledge/queries", `{"id": "q", "text": "?", "type": "factual", "max_results": 1, "timeout_ns": 1000000000, "requester_id": "x", "priority": 1}`, 201)
	acme.call("POST /verification/requests", `{"id": "r", "content": "x"}`, 201)
}

// prepare makes what the requests of timed are about.
func prepare(acme caller) {
	acme.call("POST /agents", ada, 201)
	prepareTexts(acme)
	acme.call("POST /tasks", `{"id": "t", "type": "general"}`, 201)
	acme.call("POST /queue/claim", `{"worker": "w"}`, 200)
}

func TestTimesThatJSONCantHoldAreRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	prepare(acme)
	for op, body := range timed {
		field, _, _ := strings.Cut(body, `": %s`)
		field = field[strings.LastIndex(field, `"`)+1:]
		for _, at := range []string{"9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00+12:00", "0000-06-01T00:00:00Z", "9999-12-31T12:00:00Z"} {
			acme.call(strings.TrimRight(op, "?"), fmt.Sprintf(body, `"`+at+`"`), 400, field+" must be in the years 1 to 9999")
		}
	}
	acme.call("GET /agents", "", 200, `"id":"ada"`)
}

// What has happened can't be of another time than the past.
func TestTimesOfWhatHasHappenedAreNotAhead(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	prepare(acme)
	for op, body := range timed {
		if strings.Contains(body, "published_at") || strings.Contains(body, "last_modified") {
			continue // what a page says of itself
		}
		acme.call(strings.TrimRight(op, "?"), fmt.Sprintf(body, `"2999-01-01T00:00:00Z"`), 400, "ahead of the")
	}
}

// An answer that could not be encoded was a 200 of no bytes.
func TestAnAnswerThatCantBeEncodedIsAnErrorInTheLog(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	var db *fxdb.DB
	acme, _ := newCallers(t, fx.Populate(&db), fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.New(core) }))
	acme.call("POST /agents", ada, 201)
	_, err := db.Exec(asAcme(t.Context()), "update registry.agents set last_active_at = '10000-01-01'")
	require.NoError(t, err)
	for path, route := range map[string]string{"/agents/ada": "/agents/{id}", "/agents": "/agents", "/agents/stats": "/agents/stats"} {
		acme.call("GET "+path, "", 500, "something went wrong")
		require.Len(t, logs.FilterMessage("request failed").FilterField(zap.String("route", "GET "+route)).All(), 1)
	}
}

func TestNumbersBeyondADoubleAreRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	many := func(number string) string { return `[` + number + strings.Repeat(`,`+number, 999) + `]` }
	for _, number := range []string{"1e131000", "-1e309", "1e-131000", "1e400", "0e131000", "1" + strings.Repeat("0", 400)} {
		acme.call("PUT /knowledge/cache/k", `{"content": `+many(number)+`, "ttl_ns": 60000000000}`, 400, `"detail":"content`)
	}
	for _, number := range []string{"1e308", "1e-308"} {
		acme.call("PUT /knowledge/cache/k", `{"content": `+many(number)+`, "ttl_ns": 60000000000}`, 400, "content must have no numbers that take")
		acme.call("POST /tasks", `{"id": "t", "type": "general", "metadata": {"n": `+many(number)+`}}`, 400, "metadata must have no numbers that take")
	}
	acme.call("POST /tasks", `{"id": "t", "type": "general", "metadata": {"n": 1e400}}`, 400)
	acme.call("PUT /knowledge/cache/k", `{"content": [1e308, -1.5e-300, 0e3, 0, "1e131000", "\"1e400"], "ttl_ns": 60000000000}`, 204)
	acme.call("GET /knowledge/cache/k", "", 200, `"1e131000"`)
}

// grow makes the rows of acme heavy. Three rows are one answer.
func grow(t *testing.T, db *fxdb.DB, update string) {
	t.Helper()
	_, err := db.Exec(asAcme(t.Context()), update, strings.Repeat("x", maxBody/3))
	require.NoError(t, err)
}

// Three of the rows of a list are a megabyte: all rows were one answer.
func TestAListEndsAfterAMegabyteAndSaysWhereItGoesOn(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	acme, _ := newCallers(t, fx.Populate(&db))
	const n = 12
	for i := range n {
		acme.call("POST /tasks", fmt.Sprintf(`{"id": "t%02d", "type": "general"}`, i), 201)
		acme.call("POST /verification/requests", fmt.Sprintf(`{"id": "r%02d", "content": "x"}`, i), 201)
	}
	grow(t, db, "update orchestrator.tasks set description = $1")
	grow(t, db, "update verification.requests set content = $1")
	pages := func(path string) (ids []string) {
		t.Helper()
		for after, page := "", 0; page < n; page++ {
			status, text := call(t, http.MethodGet, acme.server.URL+path+after, acme.tenant, "")
			require.Equal(t, 200, status)
			require.Less(t, len(text), 3<<19, "%s of %d bytes", path, len(text))
			var list struct {
				Tasks, Requests, Executions, Assignments []struct{ ID string }
				Next                                     string
			}
			require.NoError(t, json.Unmarshal([]byte(text), &list))
			for _, item := range append(append(append(list.Tasks, list.Requests...), list.Executions...), list.Assignments...) {
				ids = append(ids, item.ID)
			}
			if list.Next == "" {
				return ids
			}
			after = "&after=" + url.QueryEscape(list.Next)
		}
		require.Fail(t, "the list has no end")
		return nil
	}
	for path, letter := range map[string]string{"/tasks?limit=1000": "t", "/verification/requests?limit=1000": "r"} {
		ids := pages(path)
		require.Len(t, ids, n, path)
		for i, id := range ids {
			require.Equal(t, fmt.Sprintf("%s%02d", letter, i), id)
		}
	}
	// A claim takes no more either, and leaves the others to the next one.
	claimed := 0
	for range n {
		status, text := call(t, http.MethodPost, acme.server.URL+"/queue/claim", acme.tenant, `{"worker": "w", "count": 1000}`)
		require.Equal(t, 200, status)
		require.Less(t, len(text), 3<<19)
		if claimed += bytes.Count([]byte(text), []byte(`"id":`)); claimed == n {
			break
		}
	}
	require.Equal(t, n, claimed)
	for i := range 6 {
		acme.call(fmt.Sprintf("POST /tasks/t%02d/assignments", i), `{"agent_id": "a", "agent_name": "A", "routing": {"strategy": "ucb"}, "agent_model_family": "m"}`, 201)
		acme.call("POST /tasks/t00/executions", `{"agent_id": "a", "agent_name": "A"}`, 201)
	}
	grow(t, db, "update orchestrator.assignments set assignment_metadata = jsonb_build_object('m', $1::text)")
	grow(t, db, "update orchestrator.executions set execution_metadata = jsonb_build_object('m', $1::text)")
	require.Len(t, pages("/assignments?limit=1000"), 6)
	require.Len(t, pages("/tasks/t00/executions?limit=1000"), 6)
}

func TestTheHitsOfASearchEndAfterAMegabyteAndSayWhereTheHitsGoOn(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	acme, globex := newCallers(t, fx.Populate(&db))
	const n = 7
	for i := range n {
		for _, tenant := range []caller{acme, globex} {
			tenant.call(fmt.Sprintf("PUT /knowledge/sources/wiki/entities/e%d", i), `{"kind": "k", "name": "n", "body": "needle", "embedding": `+axis+`}`, 200)
		}
	}
	grow(t, db, "update knowledge.entries set body = body || ' ' || $1")
	for _, about := range []string{`"text": "needle"`, `"embedding": ` + axis, `"text": "needle", "embedding": ` + axis} {
		found := map[string]int{}
		next := ""
		for page := 0; page == 0 || next != ""; page++ {
			require.Less(t, page, n, "the hits have no end")
			status, text := call(t, http.MethodPost, acme.server.URL+"/knowledge/search", acme.tenant, `{"k": 1000, "after": "`+next+`", `+about+`}`)
			require.Equal(t, 200, status, text)
			require.Less(t, len(text), 3<<19)
			var list struct {
				Hits []struct {
					Entity string `json:"entity_id"`
				}
				Next string
			}
			require.NoError(t, json.Unmarshal([]byte(text), &list))
			for _, hit := range list.Hits {
				found[hit.Entity]++
			}
			next = list.Next
		}
		require.Len(t, found, n)
		for entity, times := range found {
			require.Equal(t, 1, times, entity)
		}
	}
	acme.call("POST /knowledge/search", `{"text": "needle", "after": "e1"}`, 400, "after must be the next of an earlier page")
}

// The evidence of a result comes in one answer.
func TestAResultHoldsAsMuchEvidenceAsAnAnswerDoes(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	acme.call("POST /verification/requests", `{"id": "r", "content": "x"}`, 201)
	id := acme.id("POST /verification/requests/r/results", `{"verdict": "mixed", "confidence": 1}`, 201)
	piece := fmt.Sprintf(`{"evidence": [{"content": %q, "relevance": 1, "credibility": 1, "supporting": true}]}`, strings.Repeat("x", maxBody-300))
	for range 4 {
		acme.call("POST /verification/results/"+id+"/evidence", piece, 204)
	}
	acme.call("POST /verification/results/"+id+"/evidence", piece, 400, "evidence must be at most")
	status, text := call(t, http.MethodGet, acme.server.URL+"/verification/requests/r/results/newest", acme.tenant, "")
	require.Equal(t, 200, status)
	require.Less(t, len(text), 6<<20)
}

// What a request leaves out is not zero, and what the request brings is not dropped.
func TestWhatIsSentIsStored(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	const entity = "/knowledge/sources/wiki/entities/go"
	put := func(more string) { acme.call("PUT "+entity, `{"kind": "language", "name": "Go"`+more+`}`, 200) }
	put("")
	acme.call("GET "+entity, "", 200, `"confidence":1,`, `"metadata":{}`)
	put(`, "confidence": 0.5, "metadata": {"a": 1}`)
	acme.call("GET "+entity, "", 200, `"confidence":0.5,`, `"metadata":{"a":1}`)
	put(`, "metadata": {"a": 2}`)
	acme.call("GET "+entity, "", 200, `"confidence":0.5,`, `"metadata":{"a":2}`)

	acme.call("POST /tasks", `{"id": "t", "type": "general", "description": "first"}`, 201)
	acme.call("POST /tasks", `{"id": "t", "type": "research", "description": "second"}`, 201)
	acme.call("GET /tasks/t", "", 200, `"type":"research"`, `"description":"second"`)
	for _, ns := range []string{"1500000", "1", "-1000000"} {
		acme.call("POST /tasks", `{"id": "t", "type": "general", "timeout_ns": `+ns+`}`, 400, "timeout_ns must be")
	}

	acme.call("POST /agents", ada, 201)
	acme.call("POST /agents/ada/performance", `{"success": true}`, 400, "quality_score is missing")
	acme.call("GET /agents/ada", "", 200, `"task_count":0`, `"average_quality":0.7`)

	prepareTexts(acme)
	for _, step := range []struct{ op, body, missing string }{
		{"POST /verification/requests/r/results", `{"verdict": "mixed"}`, "confidence"},
		{"POST /verification/requests/r/results", `{"verdict": "mixed", "confidence": 1, "methods": [{"method": "fact_checking", "verdict": "mixed"}]}`, "methods[0].confidence"},
		{"POST /verification/requests/r/results", `{"verdict": "mixed", "confidence": 1, "methods": [{"method": "fact_checking", "verdict": "mixed", "confidence": 1}]}`, "methods[0].processing_time_ns"},
		{"POST /verification/requests/r/results", `{"verdict": "mixed", "confidence": 1, "supporting": [{"content": "x", "credibility": 1}]}`, "supporting[0].relevance"},
		{"POST /verification/results/" + unknown + "/evidence", `{}`, "evidence"},
		{"POST /knowledge/queries/none/results", `{}`, "results"},
		{"POST /verification/results/" + unknown + "/evidence", `{"evidence": [{"content": "x", "relevance": 1, "credibility": 1}]}`, "evidence[0].supporting"},
		{"PUT /verification/cache", `{"question": {"content": "x"}, "result": {"verdict": "mixed"}, "ttl_ns": 1000000000}`, "result.confidence"},
		{"POST /knowledge/queries/q/results", `{"results": [{"url": "u", "domain": "d", "source_type": "web", "provider": "p", "relevance_score": 1}]}`, "results[0].credibility_score"},
		{"POST /knowledge/queries/q/response", `{"summary": "s"}`, "confidence"},
	} {
		acme.call(step.op, step.body, 400, `"detail":"`+step.missing+` is missing"`)
	}
	acme.call("GET /verification/requests/r", "", 200, `"status":"pending"`)

	// A list of nothing would be stored below an id that the tenant does not have.
	acme.call("POST /verification/results/"+unknown+"/evidence", `{"evidence": []}`, 400, "evidence must not be empty")
	acme.call("POST /knowledge/queries/none/results", `{"results": []}`, 400, "results must not be empty")

	// The lists of a result say which side evidence is on.
	const evidence = `{"content": "x", "relevance": 1, "credibility": 1`
	sided := func(supporting, contradicting string) string {
		return `{"verdict": "mixed", "confidence": 1, "supporting": [` + evidence + supporting + `}], "contradicting": [` + evidence + contradicting + `}]}`
	}
	for _, step := range []struct{ supporting, contradicting, detail string }{
		{`, "supporting": false`, "", "supporting[0].supporting must be true, or left out"},
		{"", `, "supporting": true`, "contradicting[0].supporting must be false, or left out"},
	} {
		body := sided(step.supporting, step.contradicting)
		acme.call("POST /verification/requests/r/results", body, 400, step.detail)
		acme.call("PUT /verification/cache", `{"question": {"content": "x"}, "result": `+body+`, "ttl_ns": 1000000000}`, 400, "result."+step.detail)
	}
	acme.call("POST /verification/requests/r/results", sided(`, "supporting": true`, `, "supporting": false`), 201)
}

func TestIdsAreWhatTheySay(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, _ := newCallers(t)
	for op, body := range map[string]string{
		"POST /agents":                `{"id": "..", "name": "x", "model_family": "x"}`,
		"POST /knowledge/queries":     `{"id": "..", "text": "?", "type": "factual", "max_results": 1, "timeout_ns": 1000000000, "requester_id": "x", "priority": 1}`,
		"POST /web/traversals":        `{"session_id": "..", "start_url": "u", "max_depth": 1, "max_pages": 1, "strategy": "depth_first"}`,
		"POST /verification/requests": `{"id": "..", "content": "x"}`,
		"POST /tasks":                 `{"id": "..", "type": "general"}`,
		"POST /queue/claim":           `{"worker": ".."}`,
	} {
		acme.call(op, body, 400, "must not be . or ..")
	}
	acme.call("POST /agents", `{"id": "stats", "name": "x", "model_family": "x"}`, 400, "id must not be stats")

	// A key of 65 bytes shared its entry with the key that is its SHA-256.
	long := strings.Repeat("k", 65)
	acme.call("PUT /knowledge/cache/"+long, `{"content": "of the long key", "ttl_ns": 60000000000}`, 204)
	acme.call(fmt.Sprintf("GET /knowledge/cache/%x", sha256.Sum256([]byte(long))), "", 404)
	acme.call("GET /knowledge/cache/"+long, "", 200, "of the long key")

	for _, site := range []string{"EXAMPLE.com.", "example.com", "Example.COM"} {
		acme.call("POST /web/rate-limits/"+site+"/requests", `{"limit": 9}`, 200)
	}
	acme.call("GET /web/rate-limits/example.com", "", 200, `"requests_in_window":3`)
	acme.call("POST /web/rate-limits/http:%2F%2Fexample.com/requests", `{"limit": 9}`, 400, "domain must be a host name")
}
