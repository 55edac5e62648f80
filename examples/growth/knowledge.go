package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/tenant"
)

// facts times knowledge. Of the entries 80 % are active and 20 % replaced. At most 6400 entries
// of the large tenant have an embedding: an exact search refuses more than 10,000.
type facts struct{ c *knowledge.Client }

func (f *facts) module() fx.Option { return fx.Options(knowledge.Module, fx.Populate(&f.c)) }

func (f *facts) client() any { return f.c }

func (f *facts) loads(*world, int, time.Duration) []load { return nil }

// A body has 30 words of 20,000, some in each second body; one body in 20,000 has the word
// needle.
func (f *facts) rows() []string {
	return []string{
		"drop index knowledge.entries_words_idx", // an index on words that exists makes the filling slow
		`insert into knowledge.queries (tenant_id, id, query_text, query_type, requester_id, status)
		select growth.tenant(g), 'q' || g, 'text', 'factual', 'r', 'processing' from generate_series(1, $1) g`,
		`insert into knowledge.search_results (tenant_id, id, query_id, title, content, url, domain, source_type, relevance_score, credibility_score, provider, content_hash)
		select growth.tenant(g), 'r' || g, 'q' || g, 'title', 'content', 'url', 'd', 'web', 0.5, 0.5, 'p', lpad(g::text, 64, '0') from generate_series(1, $1) g`,
		`insert into knowledge.responses (tenant_id, query_id, summary, confidence, processing_time_ms)
		select growth.tenant(g), 'q' || g, 'summary', 0.5, 1 from generate_series(1, $1) g`,
		`insert into knowledge.cache (tenant_id, cache_key, content, expires_at, size_bytes)
		select growth.tenant(g), 'k' || g, '{"a": 1}', now() + case when g / 2 % 10 = 0 then interval '-1 hour' else interval '1 day' end + g * interval '1 ms', 8
		from generate_series(1, $1) g`,
		`insert into knowledge.entries (tenant_id, id, source, entity_id, kind, name, body, content_hash, confidence, status, replaced_at, embedding)
		select growth.tenant(g), growth.entry(g), 's' || g / 2 % 20, 'e' || g, 'k' || g / 40 % 5, 'name ' || g,
		       (select string_agg('w' || (power(random(), 4) * 20000)::int, ' ') from generate_series(1, 30) where g > 0) || case when g % 20000 = 2 then ' needle' else '' end,
		       repeat('0', 64), 0.5, case when g / 2 % 5 = 4 then 'replaced' else 'active' end, case when g / 2 % 5 = 4 then now() - interval '2 days' end,
		       case when g % 2 = 0 and g <= 16000 then (select array_agg(sin(g * i)::real) from generate_series(1, 768) i) end
		from generate_series(1, $1) g`,
		`insert into knowledge.entry_feedback (tenant_id, entry_id, old, new, success)
		select growth.tenant(g), growth.entry(g), 0.5, 0.6, true from generate_series(1, $1) g`,
		"create index entries_words_idx on knowledge.entries using gin (search_vector) with (gin_pending_list_limit = 256) where status = 'active'",
		"select knowledge.recount()",
	}
}

// entryID is growth.entry in Go.
func entryID(g int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", g) }

func embedding(i int) []float32 {
	v := make([]float32, knowledge.Dimensions)
	for k := range v {
		v[k] = float32(math.Sin(float64((i + 1) * (k + 1))))
	}
	return v
}

func (f *facts) calls(n int) []call {
	c := f.c
	even := func(i int) int { return 2 + 2*(i*37%(n/2)) }          // of the large tenant
	active := func(i int) int { return 2 * (5*(i*37%(n/10)) + 1) } // an active entry of the large tenant
	entry := func(id string, i int) knowledge.Entry {
		return knowledge.Entry{Source: "new", EntityID: id, Kind: "k1", Name: "a name", Body: fmt.Sprint("a body of some words ", i), Confidence: 0.5}
	}
	text := func(words string, o knowledge.SearchOptions) func(context.Context, int) (any, error) {
		return func(ctx context.Context, _ int) (any, error) { return the(c.SearchText(ctx, words, o)) }
	}
	return []call{
		{name: "StoreQuery", run: func(ctx context.Context, i int) (any, error) {
			return the(c.StoreQuery(ctx, knowledge.Query{Text: "t", Type: knowledge.Factual, MaxResults: 5, Timeout: time.Second, RequesterID: "r", Priority: 1}))
		}},
		{name: "SetQueryStatus", run: func(ctx context.Context, i int) (any, error) {
			return none(c.SetQueryStatus(ctx, fmt.Sprint("q", even(i)), knowledge.Processing, ""))
		}},
		{name: "StoreResults", run: func(ctx context.Context, i int) (any, error) {
			return the(c.StoreResults(ctx, []knowledge.SearchResult{{
				QueryID: fmt.Sprint("q", even(i)), Title: "t", Content: fmt.Sprint("new ", i), URL: "u", Domain: "d", SourceType: knowledge.SourceWeb, Provider: "p",
			}}))
		}},
		{name: "StoreResponse", run: func(ctx context.Context, i int) (any, error) {
			return the(c.StoreResponse(ctx, knowledge.Response{QueryID: fmt.Sprint("q", even(i))}))
		}},
		{name: "Query", run: func(ctx context.Context, i int) (any, error) { return the(c.Query(ctx, fmt.Sprint("q", even(i)))) }},
		{name: "QueriesPage: 100", run: func(ctx context.Context, _ int) (any, error) { return the(c.QueriesPage(ctx, knowledge.QueryFilter{})) }},
		{name: "SearchResultsPage: 100", run: func(ctx context.Context, i int) (any, error) {
			return the(c.SearchResultsPage(ctx, fmt.Sprint("q", even(i)), 0, ""))
		}},
		{name: "ResponsesPage: 100", run: func(ctx context.Context, i int) (any, error) {
			return the(c.ResponsesPage(ctx, fmt.Sprint("q", even(i)), 0, ""))
		}},
		{name: "CacheGet", run: func(ctx context.Context, i int) (any, error) {
			raw, _, err := c.CacheGet(ctx, fmt.Sprint("k", active(i)))
			return raw, err
		}},
		{name: "CachePut", run: func(ctx context.Context, i int) (any, error) {
			return none(c.CachePut(ctx, fmt.Sprint("new", i), json.RawMessage(`{"a": 1}`), time.Hour, ""))
		}},
		{name: "CacheStats", run: func(ctx context.Context, _ int) (any, error) { return the(c.CacheStats(ctx)) }},
		{name: "SetProviderHealth", run: func(ctx context.Context, _ int) (any, error) {
			return none(c.SetProviderHealth(tenant.System(context.Background(), "growth"), "p", knowledge.ProviderHealth{Available: true}))
		}},
		{name: "ProviderHealth", run: func(ctx context.Context, _ int) (any, error) { return the(c.ProviderHealth(ctx, "p")) }},
		{name: "PutEntry: new", run: func(ctx context.Context, i int) (any, error) {
			return the(c.PutEntry(ctx, entry(fmt.Sprint("n", i), i)))
		}},
		{name: "PutEntry: replaces", run: func(ctx context.Context, i int) (any, error) { return the(c.PutEntry(ctx, entry("same", i))) }},
		{name: "GetEntry", run: func(ctx context.Context, i int) (any, error) {
			g := active(i)
			return the(c.GetEntry(ctx, fmt.Sprint("s", g/2%20), fmt.Sprint("e", g)))
		}},
		{name: "ReinforceEntry", run: func(ctx context.Context, i int) (any, error) {
			return the(c.ReinforceEntry(ctx, entryID(active(i)), i%2 == 0, nil))
		}},
		{name: "EntryStats", run: func(ctx context.Context, _ int) (any, error) { return the(c.EntryStats(ctx, "", "")) }},
		{name: "EntryStats: a source", run: func(ctx context.Context, _ int) (any, error) { return the(c.EntryStats(ctx, "s3", "")) }},
		{name: "EntryStats: a kind", run: func(ctx context.Context, _ int) (any, error) { return the(c.EntryStats(ctx, "", "k3")) }},
		{name: "SearchText: a rare word", run: text("needle", knowledge.SearchOptions{})},
		{name: "SearchText: a rare word of a source", run: text("w19000", knowledge.SearchOptions{Sources: []string{"s3"}})},
		{name: "SearchText: two frequent words", run: text("w1 w2", knowledge.SearchOptions{})},
		{name: "SearchText: a word of each second entry", run: text("w0", knowledge.SearchOptions{})},
		{name: "SearchTextPage: a rare word", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.SearchTextPage(ctx, "needle", knowledge.SearchOptions{}, ""))
		}},
		{name: "SearchSimilar: a source", run: func(ctx context.Context, i int) (any, error) {
			return the(c.SearchSimilar(ctx, embedding(i), knowledge.SearchOptions{Sources: []string{"s3"}}))
		}},
		{name: "SearchSimilar", run: func(ctx context.Context, i int) (any, error) {
			return the(c.SearchSimilar(ctx, embedding(i), knowledge.SearchOptions{}))
		}},
		{name: "SearchSimilarPage: a source", run: func(ctx context.Context, i int) (any, error) {
			return the(c.SearchSimilarPage(ctx, embedding(i), knowledge.SearchOptions{Sources: []string{"s3"}}, ""))
		}},
		{name: "HybridSearch: a source", run: func(ctx context.Context, i int) (any, error) {
			return the(c.HybridSearch(ctx, "needle", embedding(i), knowledge.SearchOptions{Sources: []string{"s3"}}))
		}},
		{name: "HybridSearchPage: a source", run: func(ctx context.Context, i int) (any, error) {
			return the(c.HybridSearchPage(ctx, "needle", embedding(i), knowledge.SearchOptions{Sources: []string{"s3"}}, ""))
		}},
		{name: "CachePurge: a tenth", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.CachePurge(ctx)) }},
		{name: "CachePurge: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.CachePurge(ctx)) }},
		{name: "DecayEntries: a fifth", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.DecayEntries(ctx)) }},
		{name: "DecayEntries: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.DecayEntries(ctx)) }},
		{name: "DeleteEntries: a twentieth", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.DeleteEntries(ctx, "s7")) }},
		{name: "DeleteEntries: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.DeleteEntries(ctx, "nobody's")) }},
		{name: "Available", run: func(ctx context.Context, _ int) (any, error) { return c.Available(ctx), nil }},
		{name: "CheckSchema", run: func(ctx context.Context, _ int) (any, error) { return none(c.CheckSchema(ctx)) }},
	}
}
