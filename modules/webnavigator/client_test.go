package webnavigator_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/webnavigator"
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
func newClient(t testing.TB) (*webnavigator.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	db := testkit.DB(t, testkit.Migrations("webnavigator", webnavigator.Migrations()))
	c, err := webnavigator.New(webnavigator.Params{DB: db.Named("webnavigator", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

// nowhere is the id of nothing.
const nowhere = "00000000-0000-0000-0000-000000000000"

const page = "https://example.org/page"

func content(url, text string, change ...func(*webnavigator.Content)) webnavigator.Content {
	c := webnavigator.Content{URL: url, Title: "title of " + text, Text: text}
	for _, fn := range change {
		fn(&c)
	}
	return c
}

func storeContent(t testing.TB, ctx context.Context, c *webnavigator.Client, url, text string) string {
	t.Helper()
	id, _, err := c.StoreContent(ctx, content(url, text))
	require.NoError(t, err)
	return id
}

func traversal(session string) webnavigator.Traversal {
	return webnavigator.Traversal{SessionID: session, StartURL: page, MaxDepth: 3, MaxPages: 50, Strategy: webnavigator.BreadthFirst}
}

func startTraversal(t testing.TB, ctx context.Context, c *webnavigator.Client, session string) string {
	t.Helper()
	id, err := c.StartTraversal(ctx, traversal(session))
	require.NoError(t, err)
	return id
}

func addNode(t testing.TB, ctx context.Context, c *webnavigator.Client, traversalID string) string {
	t.Helper()
	id, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: traversalID, URL: page, Depth: 1})
	require.NoError(t, err)
	return id
}

func ptr[T any](v T) *T { return &v }

// use calls every method that needs a tenant, in an order in which all succeed.
func use(c *webnavigator.Client, ctx context.Context) map[string]error {
	or := func(id string, err error) (string, error) {
		if err != nil {
			return nowhere, err
		}
		return id, nil
	}
	out := map[string]error{}
	id, _, err := c.StoreContent(ctx, content(page, "text"))
	id, out["StoreContent"] = or(id, err)
	out["CachePut"] = c.CachePut(ctx, page, id, time.Hour)
	_, _, out["GetByURL"] = c.GetByURL(ctx, page)
	out["StoreMetrics"] = c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{})
	_, out["Content"] = c.Content(ctx, id)
	_, out["MetricsPage"] = c.MetricsPage(ctx, id, 0, "")
	_, out["CacheStats"] = c.CacheStats(ctx)
	_, out["Purge"] = c.Purge(ctx)
	walk, err := c.StartTraversal(ctx, traversal("s"))
	walk, out["StartTraversal"] = or(walk, err)
	node, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: page})
	node, out["AddNode"] = or(node, err)
	out["SetNodeStatus"] = c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, id, "")
	out["NoteRateLimit"] = c.NoteRateLimit(ctx, "s")
	out["SetTraversalStatus"] = c.SetTraversalStatus(ctx, "s", webnavigator.TraversalCompleted, "")
	_, out["Traversal"] = c.Traversal(ctx, "s")
	_, out["TraversalsPage"] = c.TraversalsPage(ctx, webnavigator.TraversalFilter{})
	_, out["Node"] = c.Node(ctx, node)
	_, out["NodesPage"] = c.NodesPage(ctx, "s", webnavigator.NodeFilter{})
	_, out["TraversalStats"] = c.TraversalStats(ctx, "s")
	return out
}

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := webnavigator.New(webnavigator.Params{
		DB: db.Named("webnavigator"), Config: webnavigator.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	// What belongs to all tenants needs none.
	require.NoError(t, err)
	require.NoError(t, c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "example.org", Status: webnavigator.RateOK}))
	_, found, err := c.RateLimit(t.Context(), "example.org")
	require.NoError(t, err)
	require.True(t, found)
	_, err = c.LimitedDomains(t.Context())
	require.NoError(t, err)

	_, err = webnavigator.New(webnavigator.Params{DB: db, Config: webnavigator.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	_, err = webnavigator.New(webnavigator.Params{})
	require.ErrorContains(t, err, "Params.DB")
}

func TestTheSystemOwnsNothing(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	for name, err := range use(c, tenant.System(t.Context(), "test")) {
		switch name {
		case "Purge", "CacheStats", "TraversalsPage":
			require.NoError(t, err, name)
		default:
			require.Error(t, err, name)
		}
	}
}

func TestAvailableIsAskedEachTime(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.Eventually(t, func() bool { return c.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.NoError(t, db.Close(t.Context()))
	require.False(t, c.Available(t.Context()))

	var early *webnavigator.Client
	app := fx.New(fx.NopLogger, fxdb.Module, webnavigator.Module, fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"}), fx.Populate(&early))
	require.NoError(t, app.Err())
	require.False(t, early.Available(t.Context()))
	_, _, err := early.GetByURL(as(t, "acme"), page)
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
	_, err = early.CountRequest(as(t, "acme"), "example.org", 0, 1)
	require.ErrorIs(t, err, fxdb.ErrNotStarted, "a limit that can't be counted is no permission")
	_, err = early.LimitedDomains(t.Context())
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
}
