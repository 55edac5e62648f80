package knowledge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestAQueryIsReadAsStored(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	want := query("q", func(q *knowledge.Query) {
		q.PreferredSources, q.Tags = []knowledge.SourceType{knowledge.SourceWeb, knowledge.SourceNews}, []string{"b", "a"}
		q.Context, q.CreatedAt = map[string]any{"n": 1.5}, at
	})
	_, err := c.StoreQuery(ctx, want, knowledge.AsPending())
	require.NoError(t, err)
	got, err := c.Query(ctx, "q")
	require.NoError(t, err)
	require.True(t, got.CreatedAt.Equal(at))
	got.CreatedAt = at
	require.Equal(t, knowledge.StoredQuery{Query: want, Status: knowledge.Pending}, got)

	require.NoError(t, c.SetQueryStatus(ctx, "q", knowledge.Failed, "no network"))
	require.NoError(t, c.SetQueryStatus(ctx, "q", knowledge.Processing, ""))
	require.NoError(t, c.SetQueryStatus(ctx, "q", knowledge.Failed, "again no network"))
	got, err = c.Query(ctx, "q")
	require.NoError(t, err)
	require.Equal(t, knowledge.Failed, got.Status)
	require.Equal(t, "again no network", *got.Error)
	require.NotNil(t, got.ProcessedAt)
	require.Equal(t, 1, got.Retries)

	_, err = c.Query(as(t, "globex"), "q")
	require.ErrorIs(t, err, knowledge.ErrQueryNotFound)
	_, err = c.Query(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestQueriesArePagedTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Add(-time.Hour)
	for i := range 5 { // pairs share a time: the id breaks the tie
		_, err := c.StoreQuery(ctx, query(fmt.Sprint("q", i), func(q *knowledge.Query) { q.CreatedAt = at.Add(time.Duration(i/2) * time.Second) }))
		require.NoError(t, err)
	}
	require.NoError(t, c.SetQueryStatus(ctx, "q1", knowledge.Completed, ""))
	storeQuery(t, as(t, "globex"), c, "of globex")
	for _, tt := range []struct {
		status knowledge.Status
		want   []string
	}{
		{"", []string{"q4", "q3", "q2", "q1", "q0"}},
		{knowledge.Processing, []string{"q4", "q3", "q2", "q0"}},
		{knowledge.Pending, nil},
	} {
		var got []string
		for _, q := range clienttest.Pages(t, len(tt.want), func(limit int, after string) (modules.Page[knowledge.StoredQuery], error) {
			return c.QueriesPage(ctx, knowledge.QueryFilter{Status: tt.status, Limit: limit, After: after})
		}) {
			got = append(got, q.ID)
		}
		require.Equal(t, tt.want, got, tt.status)
	}
	_, err := c.QueriesPage(ctx, knowledge.QueryFilter{Status: "odd"})
	require.ErrorContains(t, err, "status must be one of")
}

func TestResultsAreReadAsStoredTheMostRelevantFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q", "without results")
	published, at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	first := result("q", "a", func(r *knowledge.SearchResult) {
		r.ID, r.RelevanceScore, r.Quality, r.ContentHash = "r", 1, knowledge.QualityHigh, sqlarg.SHA256("a")
		r.ProviderMetadata, r.PublishedAt, r.RetrievedAt, r.ProcessedAt = map[string]any{"rank": 1.0}, &published, at, at
	})
	_, err := c.StoreResults(ctx, []knowledge.SearchResult{
		result("q", "b"), first, result("q", "c"), result("q", "d", func(r *knowledge.SearchResult) { r.RelevanceScore = 0 }),
	})
	require.NoError(t, err)
	read := func(limit int, after string) (modules.Page[knowledge.SearchResult], error) {
		return c.SearchResultsPage(ctx, "q", limit, after)
	}
	got := clienttest.Pages(t, 4, read)
	require.True(t, got[0].PublishedAt.Equal(published) && got[0].RetrievedAt.Equal(at) && got[0].ProcessedAt.Equal(at))
	got[0].PublishedAt, got[0].RetrievedAt, got[0].ProcessedAt = first.PublishedAt, at, at
	require.Equal(t, first, got[0])
	require.Equal(t, "d", got[3].Content)
	require.ElementsMatch(t, []string{"b", "c"}, []string{got[1].Content, got[2].Content})

	none, err := c.SearchResultsPage(ctx, "without results", 0, "")
	require.NoError(t, err)
	require.Equal(t, modules.Page[knowledge.SearchResult]{Items: []knowledge.SearchResult{}}, none)
	_, err = c.SearchResultsPage(ctx, "unknown", 0, "")
	require.ErrorIs(t, err, knowledge.ErrQueryNotFound)
	_, err = c.SearchResultsPage(as(t, "globex"), "q", 0, "")
	require.ErrorIs(t, err, knowledge.ErrQueryNotFound)
}

func TestResponsesAreReadWithTheAveragesTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	response := knowledge.Response{
		QueryID: "q", Summary: "one", Confidence: 0.5, SourcesUsed: []string{"s"}, TotalResultsFound: 3, ResultsFiltered: 1,
		ProcessingTime: time.Second, CacheUsed: true, ProvidersQueried: []string{"p"}, RespondedAt: at,
		Results: []knowledge.SearchResult{result("q", "a"), result("q", "b", func(r *knowledge.SearchResult) { r.Domain = "example.com" })},
	}
	id, err := c.StoreResponse(ctx, response)
	require.NoError(t, err)
	for i := range 2 {
		_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: "q", Summary: fmt.Sprint("later ", i)})
		require.NoError(t, err)
	}
	got := clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[knowledge.StoredResponse], error) {
		return c.ResponsesPage(ctx, "q", limit, after)
	})
	require.Equal(t, []string{"later 1", "later 0"}, []string{got[0].Summary, got[1].Summary})
	require.Nil(t, got[0].AvgRelevance)
	last := got[2]
	require.True(t, last.RespondedAt.Equal(at))
	require.InDelta(t, 0.8, *last.AvgRelevance, 1e-9)
	require.InDelta(t, 0.6, *last.AvgCredibility, 1e-9)
	require.InDelta(t, 1, *last.Diversity, 1e-9)
	last.AvgRelevance, last.AvgCredibility, last.Diversity, last.RespondedAt = nil, nil, nil, at
	require.Equal(t, knowledge.StoredResponse{
		ID: id, QueryID: "q", Summary: "one", Confidence: 0.5, SourcesUsed: []string{"s"}, TotalResultsFound: 3, ResultsFiltered: 1,
		ProcessingTime: time.Second, CacheUsed: true, ProvidersQueried: []string{"p"}, RespondedAt: at,
	}, last)
	_, err = c.ResponsesPage(as(t, "globex"), "q", 0, "")
	require.ErrorIs(t, err, knowledge.ErrQueryNotFound)
}
