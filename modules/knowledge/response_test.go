package knowledge_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestStoreResponseComputesTheAverages(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	score := func(domain string, relevance, credibility float64) knowledge.SearchResult {
		return result("", domain, func(r *knowledge.SearchResult) {
			r.Domain, r.RelevanceScore, r.CredibilityScore = domain, relevance, credibility
		})
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	id, err := c.StoreResponse(ctx, knowledge.Response{
		QueryID: "q", Summary: "a pool lends connections", Confidence: 0.9, SourcesUsed: []string{"s"}, TotalResultsFound: 7, ResultsFiltered: 4,
		ProcessingTime: 250 * time.Millisecond, CacheUsed: true, ProvidersQueried: []string{"google", "bing"}, RespondedAt: at,
		Results: []knowledge.SearchResult{score("a", 0.1, 1), score("b", 0.2, 1), score("a", 0.2, 1)},
	})
	require.NoError(t, err)
	require.Len(t, id, 36)
	var summary, status string
	var confidence, relevance, credibility, diversity float64
	var sources, providers []string
	var found, filtered, ms int
	var cached bool
	var created time.Time
	scan(t, ctx, db, `select summary, confidence, relevance_score_avg, credibility_score_avg, diversity_score, sources_used, providers_queried,
		total_results_found, results_filtered, processing_time_ms, cache_used, created_at from knowledge.responses where id = '`+id+"'",
		&summary, &confidence, &relevance, &credibility, &diversity, &sources, &providers, &found, &filtered, &ms, &cached, &created)
	require.Equal(t, "a pool lends connections", summary)
	require.InDelta(t, 0.9, confidence, 0)
	require.InDelta(t, 0.5/3, relevance, 1e-12, "not rounded")
	require.InDelta(t, 1, credibility, 0)
	require.InDelta(t, 2.0/3, diversity, 1e-12)
	require.Equal(t, []string{"s"}, sources)
	require.Equal(t, []string{"google", "bing"}, providers)
	require.Equal(t, []int{7, 4, 250}, []int{found, filtered, ms})
	require.True(t, cached)
	require.True(t, at.Equal(created))
	scan(t, ctx, db, "select status from knowledge.queries", &status)
	require.Equal(t, "processing", status)

	began := time.Now()
	id, err = c.StoreResponse(ctx, knowledge.Response{QueryID: "q"}, knowledge.CompleteQuery())
	require.NoError(t, err)
	require.Less(t, time.Since(began), 10*time.Second)
	var empty, done bool
	scan(t, ctx, db, `select num_nulls(relevance_score_avg, credibility_score_avg, diversity_score) = 3 from knowledge.responses where id = '`+id+"'", &empty)
	require.True(t, empty, "no results have no averages")
	scan(t, ctx, db, "select status, processed_at is not null from knowledge.queries", &status, &done)
	require.Equal(t, "completed", status)
	require.True(t, done)
}

func TestStoreResponseRefuses(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	storeQuery(t, as(t, "globex"), c, "theirs")
	for _, id := range []string{"x", "theirs"} {
		_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: id}, knowledge.CompleteQuery())
		require.ErrorIs(t, err, modules.ErrReference)
	}
	var status string
	scan(t, as(t, "globex"), db, "select status from knowledge.queries", &status)
	require.Equal(t, "processing", status)
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	with := func(change func(*knowledge.SearchResult)) knowledge.Response {
		return knowledge.Response{QueryID: "q", Results: []knowledge.SearchResult{result("q", "a"), result("q", "b", change)}}
	}
	for must, r := range map[string]knowledge.Response{
		"query_id must not be blank":                             {},
		"summary must be text":                                   {QueryID: "q", Summary: "\x00"},
		"confidence must be from 0 to 1":                         {QueryID: "q", Confidence: 1.01},
		"sources_used must be text":                              {QueryID: "q", SourcesUsed: []string{"\x00"}},
		"total_results_found must be from 0":                     {QueryID: "q", TotalResultsFound: -1},
		"results_filtered must be from 0":                        {QueryID: "q", ResultsFiltered: 1 << 40},
		"processing_time must not be negative":                   {QueryID: "q", ProcessingTime: -1},
		"providers_queried must be text":                         {QueryID: "q", ProvidersQueried: []string{"\xff"}},
		"results[1].relevance_score must be from 0 to 1":         with(func(r *knowledge.SearchResult) { r.RelevanceScore = -1 }),
		"results[1].domain must not be blank":                    with(func(r *knowledge.SearchResult) { r.Domain = "" }),
		"results[1].title must be text":                          with(func(r *knowledge.SearchResult) { r.Title = "\x00" }),
		"results[1].quality must be one of":                      with(func(r *knowledge.SearchResult) { r.Quality = "odd" }),
		"results[1].content_hash must be a SHA-256":              with(func(r *knowledge.SearchResult) { r.ContentHash = "x" }),
		"results[1].query_id must be the response's query_id":    with(func(r *knowledge.SearchResult) { r.QueryID = "other" }),
		"results[1].published_at must be in the years 1 to 9999": with(func(r *knowledge.SearchResult) { r.PublishedAt = &late }),
	} {
		_, err := c.StoreResponse(ctx, r)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}
