package knowledge_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

var (
	as       = clienttest.As
	scan     = clienttest.Scan
	exec     = clienttest.Exec
	together = clienttest.Together
)

// newClient returns a client on a database of this test's own.
func newClient(t testing.TB, opts ...testkit.Option) (*knowledge.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	db := testkit.DB(t, append(opts, testkit.Migrations("knowledge", knowledge.Migrations()))...)
	c, err := knowledge.New(knowledge.Params{DB: db.Named("knowledge", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

func query(id string, change ...func(*knowledge.Query)) knowledge.Query {
	q := knowledge.Query{
		ID: id, Text: "what is a pool?", Type: knowledge.Factual, MaxResults: 5, RelevanceThreshold: 0.5,
		Timeout: 30 * time.Second, RequesterID: "ada", Priority: 3,
	}
	for _, fn := range change {
		fn(&q)
	}
	return q
}

func result(queryID, content string, change ...func(*knowledge.SearchResult)) knowledge.SearchResult {
	r := knowledge.SearchResult{
		QueryID: queryID, Title: "on " + content, Content: content, URL: "https://example.org/" + content, Domain: "example.org",
		SourceType: knowledge.SourceWeb, RelevanceScore: 0.8, CredibilityScore: 0.6, Provider: "google",
	}
	for _, fn := range change {
		fn(&r)
	}
	return r
}

func storeQuery(t testing.TB, ctx context.Context, c *knowledge.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		_, err := c.StoreQuery(ctx, query(id))
		require.NoError(t, err)
	}
}

func entry(id string, change ...func(*knowledge.Entry)) knowledge.Entry {
	e := knowledge.Entry{Source: "wiki", EntityID: id, Kind: "concept", Name: "Name of " + id, Body: "the body of " + id, Confidence: 0.9}
	for _, fn := range change {
		fn(&e)
	}
	return e
}

// vector points along the first axis, turned towards the second by part.
func vector(part float32) []float32 {
	v := make([]float32, knowledge.Dimensions)
	v[0], v[1] = 1-part, part
	return v
}

// store is what Client and Lenient share.
type store interface {
	StoreQuery(context.Context, knowledge.Query, ...knowledge.QueryOption) (string, error)
	SetQueryStatus(context.Context, string, knowledge.Status, string) error
	StoreResults(context.Context, []knowledge.SearchResult) (int64, error)
	StoreResponse(context.Context, knowledge.Response, ...knowledge.ResponseOption) (string, error)
	CacheGet(context.Context, string) (json.RawMessage, bool, error)
	CachePut(context.Context, string, json.RawMessage, time.Duration, knowledge.CacheType) error
	CachePurge(context.Context) (int64, error)
	CacheStats(context.Context) (knowledge.CacheStats, error)
}

// useStore calls every method of a store, in an order in which all succeed.
func useStore(s store, ctx context.Context) map[string]error {
	out := map[string]error{}
	_, out["StoreQuery"] = s.StoreQuery(ctx, query("q"))
	_, out["StoreResults"] = s.StoreResults(ctx, []knowledge.SearchResult{result("q", "text")})
	_, out["StoreResponse"] = s.StoreResponse(ctx, knowledge.Response{QueryID: "q"})
	out["SetQueryStatus"] = s.SetQueryStatus(ctx, "q", knowledge.Failed, "why")
	out["CachePut"] = s.CachePut(ctx, "k", json.RawMessage(`{}`), time.Hour, "")
	_, _, out["CacheGet"] = s.CacheGet(ctx, "k")
	_, out["CachePurge"] = s.CachePurge(ctx)
	_, out["CacheStats"] = s.CacheStats(ctx)
	return out
}

// use calls every method that needs a tenant.
func use(c *knowledge.Client, ctx context.Context) map[string]error {
	out := useStore(c, ctx)
	_, out["Query"] = c.Query(ctx, "q")
	_, out["QueriesPage"] = c.QueriesPage(ctx, knowledge.QueryFilter{})
	_, out["SearchResultsPage"] = c.SearchResultsPage(ctx, "q", 0, "")
	_, out["ResponsesPage"] = c.ResponsesPage(ctx, "q", 0, "")
	id, err := c.PutEntry(ctx, entry("x", func(e *knowledge.Entry) { e.Embedding = vector(0) }))
	out["PutEntry"] = err
	if err != nil {
		id = "00000000-0000-0000-0000-000000000000"
	}
	_, out["GetEntry"] = c.GetEntry(ctx, "wiki", "x")
	_, out["ReinforceEntry"] = c.ReinforceEntry(ctx, id, true, nil)
	_, out["DecayEntries"] = c.DecayEntries(ctx)
	_, out["SearchSimilar"] = c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{})
	_, out["SearchText"] = c.SearchText(ctx, "body", knowledge.SearchOptions{})
	_, out["HybridSearch"] = c.HybridSearch(ctx, "body", vector(0), knowledge.SearchOptions{})
	for name, search := range pagedSearches(c) {
		_, out["the pages of a search: "+name] = search(ctx, knowledge.SearchOptions{}, "")
	}
	_, out["EntryStats"] = c.EntryStats(ctx, "", "")
	_, out["DeleteEntries"] = c.DeleteEntries(ctx, "wiki")
	return out
}

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := knowledge.New(knowledge.Params{
		DB: db.Named("knowledge"), Config: knowledge.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	// What belongs to all tenants needs none.
	require.NoError(t, c.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{}))
	_, err = c.ProviderHealth(t.Context(), "google")
	require.NoError(t, err)

	_, err = knowledge.New(knowledge.Params{DB: db, Config: knowledge.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	_, err = knowledge.New(knowledge.Params{})
	require.ErrorContains(t, err, "Params.DB")
}

func TestTheSystemOwnsNothing(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, _ *fxdb.DB) {
		for name, err := range use(c, tenant.System(t.Context(), "test")) {
			if strings.HasPrefix(name, "the pages of a search") {
				name = "SearchText"
			}
			switch name {
			case "CachePurge", "CacheStats", "QueriesPage", "DecayEntries", "SearchSimilar", "SearchText", "HybridSearch", "EntryStats", "DeleteEntries":
				require.NoError(t, err, name)
			default:
				require.Error(t, err, name)
			}
		}
	})
}

func TestAvailableIsAskedEachTime(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.Eventually(t, func() bool { return c.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.NoError(t, db.Close(t.Context()))
	require.False(t, c.Available(t.Context()))

	var early *knowledge.Client
	app := fx.New(fx.NopLogger, fxdb.Module, knowledge.Module, fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"}), fx.Populate(&early))
	require.NoError(t, app.Err())
	require.False(t, early.Available(t.Context()))
	_, err := early.StoreQuery(as(t, "acme"), query("q"))
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
	_, err = early.SearchSimilar(as(t, "acme"), vector(0), knowledge.SearchOptions{})
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
}
