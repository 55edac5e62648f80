package knowledge_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestEveryMethodIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, w := clienttest.Wired(t, "knowledge", knowledge.Migrations())
	c, err := knowledge.New(knowledge.Params{DB: db})
	require.NoError(t, err)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	storeQuery(t, ctx, c, "failing", "completing")
	id, err := c.PutEntry(ctx, entry("e"))
	require.NoError(t, err)
	require.NoError(t, c.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{Available: true}))
	_, err = c.StoreResponse(ctx, knowledge.Response{QueryID: "q"})
	require.NoError(t, err)
	_, err = c.StoreResults(ctx, []knowledge.SearchResult{result("q", "first")})
	require.NoError(t, err)
	results := func(i, n int) (out []knowledge.SearchResult) {
		for k := range n {
			out = append(out, result("q", fmt.Sprintf("%d of %d in %d", k, n, i)))
		}
		return out
	}
	clienttest.Flights(t, w, c, map[string]func(i int) error{
		"StoreQuery":            func(i int) error { _, err := c.StoreQuery(ctx, query(fmt.Sprint("q", i))); return err },
		"SetQueryStatus":        func(int) error { return c.SetQueryStatus(ctx, "failing", knowledge.Failed, "why") },
		"StoreResults":          func(i int) error { _, err := c.StoreResults(ctx, results(i, 1)); return err },
		"StoreResults: of 500":  func(i int) error { _, err := c.StoreResults(ctx, results(i, 500)); return err },
		"StoreResults: of none": func(int) error { _, err := c.StoreResults(ctx, nil); return err },
		"StoreResponse":         func(int) error { _, err := c.StoreResponse(ctx, knowledge.Response{QueryID: "q"}); return err },
		"StoreResponse: that completes": func(int) error {
			_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: "completing"}, knowledge.CompleteQuery())
			return err
		},
		"SetProviderHealth": func(int) error {
			return c.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{Available: true})
		},
		"ProviderHealth":             func(int) error { _, err := c.ProviderHealth(ctx, "google"); return err },
		"Query":                      func(int) error { _, err := c.Query(ctx, "q"); return err },
		"QueriesPage":                func(int) error { _, err := c.QueriesPage(ctx, knowledge.QueryFilter{}); return err },
		"SearchResultsPage":          func(int) error { _, err := c.SearchResultsPage(ctx, "q", 0, ""); return err },
		"SearchResultsPage: of none": func(int) error { _, err := c.SearchResultsPage(ctx, "failing", 0, ""); return err },
		"ResponsesPage":              func(int) error { _, err := c.ResponsesPage(ctx, "q", 0, ""); return err },
		"CacheGet":                   func(int) error { _, _, err := c.CacheGet(ctx, "k"); return err },
		"CachePut":                   func(int) error { return c.CachePut(ctx, "k", json.RawMessage(`{}`), time.Hour, "") },
		"CachePurge":                 func(int) error { _, err := c.CachePurge(ctx); return err },
		"CacheStats":                 func(int) error { _, err := c.CacheStats(ctx); return err },
		"PutEntry": func(i int) error {
			_, err := c.PutEntry(ctx, entry("x", func(e *knowledge.Entry) { e.Body, e.Embedding = fmt.Sprint(i), vector(0) }))
			return err
		},
		"GetEntry":       func(int) error { _, err := c.GetEntry(ctx, "wiki", "e"); return err },
		"ReinforceEntry": func(int) error { _, err := c.ReinforceEntry(ctx, id, true, nil); return err },
		"DecayEntries":   func(int) error { _, err := c.DecayEntries(ctx); return err },
		"SearchText":     func(int) error { _, err := c.SearchText(ctx, "body", knowledge.SearchOptions{}); return err },
		"SearchSimilar":  func(int) error { _, err := c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{}); return err },
		"HybridSearch": func(int) error {
			_, err := c.HybridSearch(ctx, "body", vector(0), knowledge.SearchOptions{})
			return err
		},
		"SearchTextPage": func(int) error {
			_, err := c.SearchTextPage(ctx, "body", knowledge.SearchOptions{}, "")
			return err
		},
		"SearchSimilarPage": func(int) error {
			_, err := c.SearchSimilarPage(ctx, vector(0), knowledge.SearchOptions{}, "")
			return err
		},
		"HybridSearchPage": func(int) error {
			_, err := c.HybridSearchPage(ctx, "body", vector(0), knowledge.SearchOptions{}, "")
			return err
		},
		"EntryStats":    func(int) error { _, err := c.EntryStats(ctx, "", ""); return err },
		"DeleteEntries": func(int) error { _, err := c.DeleteEntries(ctx, "nobody's"); return err },
		"CheckSchema":   func(int) error { return c.CheckSchema(ctx) },
		"Available":     func(int) error { c.Available(ctx); return nil },
	}, map[string]int64{"StoreResults: of none": 0, "SearchResultsPage: of none": 2, "CheckSchema": 3, "Available": 0})
}
