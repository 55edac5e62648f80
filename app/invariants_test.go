package main

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

// finishFilling writes, as the actor, to the tables that the demo leaves empty.
func (a actor) finishFilling(t *testing.T, c clients) {
	t.Helper()
	ctx, url := a.context(t.Context()), a.library[0].url()

	require.NoError(t, c.Orchestrator.SnapshotStats(ctx))

	require.NoError(t, c.Knowledge.CachePut(ctx, "key", json.RawMessage(`{}`), time.Hour, knowledge.CacheResponse))
	_, found, err := c.Knowledge.CacheGet(ctx, "key")
	require.NoError(t, err)
	require.True(t, found)
	entry, err := c.Knowledge.GetEntry(ctx, shelf, a.library[0].name)
	require.NoError(t, err)
	_, err = c.Knowledge.ReinforceEntry(ctx, entry.ID, true, nil)
	require.NoError(t, err)

	content, _, err := c.Web.StoreContent(ctx, webnavigator.Content{URL: url, Title: "again", Text: "again", Quality: webnavigator.QualityHigh})
	require.NoError(t, err)
	require.NoError(t, c.Web.CachePut(ctx, url, content, time.Hour))
	_, found, err = c.Web.GetByURL(ctx, url)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, c.Web.StoreMetrics(ctx, content, webnavigator.ExtractionMetrics{Total: time.Second, StatusCode: 200}))

	asked := verification.Request{ID: "cached", Content: "asked", Types: []verification.MethodType{verification.CrossReference}}
	require.NoError(t, c.Verification.CachePut(ctx, asked, verification.Result{RequestID: asked.ID, Verdict: verification.VerifiedTrue, Confidence: 1}, time.Hour))
	_, found, err = c.Verification.CacheGet(ctx, asked)
	require.NoError(t, err)
	require.True(t, found)
}

// Two tenants work with all clients. Then every table that the catalog knows has rows
// of both, and none lets one reach the other's, or nobody any.
func TestNoTableOfTheAgencyLetsTenantsReachEachOther(t *testing.T) {
	t.Parallel()
	var c clients
	var db *fxdb.DB
	app := fxtest.New(t, agency, testkit.Swap(t), fx.NopLogger, fx.Supply(zap.NewNop()), fx.Populate(&db), fx.Invoke(func(got clients) { c = got }))
	app.RequireStart()
	defer app.RequireStop()
	books, err := library()
	require.NoError(t, err)
	actors := []actor{{"acme", "acme", 2, 20, books[:3]}, {"globex", "globex", 1, 10, books[:2]}}
	require.NoError(t, play(t.Context(), io.Discard, c, actors))
	for _, a := range actors {
		a.finishFilling(t, c)
	}
	// One of each client's, so that none is missing from the catalog unnoticed.
	require.Subset(t, testkit.RequireIsolation(t, db),
		[]string{"registry.agents", "knowledge.entries", "web.contents", "verification.results", "orchestrator.tasks"})
}
