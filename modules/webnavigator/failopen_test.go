package webnavigator_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

// useLenient calls what a Lenient lets pass.
func useLenient(l *webnavigator.Lenient, ctx context.Context, contentID string) map[string]error {
	out := map[string]error{}
	_, _, out["StoreContent"] = l.StoreContent(ctx, content(page, "text"))
	out["CachePut"] = l.CachePut(ctx, page, contentID, time.Hour)
	_, _, out["GetByURL"] = l.GetByURL(ctx, page)
	out["StoreMetrics"] = l.StoreMetrics(ctx, contentID, webnavigator.ExtractionMetrics{})
	_, out["CacheStats"] = l.CacheStats(ctx)
	_, out["Purge"] = l.Purge(ctx)
	return out
}

func TestFailOpenIsTheClientWhileTheDatabaseIsThere(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	l := webnavigator.FailOpen(c, nil)
	for name, err := range useLenient(l, ctx, storeContent(t, ctx, c, page, "text")) {
		require.NoError(t, err, name)
	}
	got, found, err := l.GetByURL(ctx, page)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "text", got.Text)
	require.ErrorIs(t, l.CachePut(ctx, page, nowhere, 0), webnavigator.ErrUnknownContent, "the caller's mistakes stay errors")
	for name, err := range useLenient(l, t.Context(), nowhere) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	require.Zero(t, l.Dropped())
}

func TestFailOpenGoesOnWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, db.Close(t.Context()))
	for name, err := range use(c, ctx) {
		require.ErrorIs(t, err, fxdb.ErrDraining, name)
	}
	core, logs := observer.New(zap.WarnLevel)
	l := webnavigator.FailOpen(c, zap.New(core))
	for name, err := range useLenient(l, ctx, nowhere) {
		require.NoError(t, err, name)
	}
	require.EqualValues(t, 6, l.Dropped())
	require.NotZero(t, logs.Len())
	// What follows a store that passed has no id, and passes too.
	require.NoError(t, l.CachePut(ctx, page, "", 0))
	require.NoError(t, l.StoreMetrics(ctx, "", webnavigator.ExtractionMetrics{}))
	require.EqualValues(t, 6, l.Dropped())
	// Limits never pass.
	_, err := l.CountRequest(ctx, site, 0, 1)
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, _, err = l.RateLimit(ctx, site)
	require.ErrorIs(t, err, fxdb.ErrDraining)
}

func TestStartAnyway(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := testkit.DB(t).Pool().Config().ConnString()
	start := func(cfg webnavigator.Config) (*fx.App, *webnavigator.Client, error) {
		var c *webnavigator.Client
		app := fx.New(fx.NopLogger, fxdb.Module, webnavigator.Module, fx.Supply(cfg), fx.Replace(fxdb.Config{URL: url}), fx.Populate(&c))
		return app, c, app.Start(t.Context())
	}
	_, _, err := start(webnavigator.Config{})
	require.ErrorIs(t, err, modules.ErrSchema)
	app, c, err := start(webnavigator.Config{StartAnyway: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Stop(context.Background())) }()
	ctx := as(t, "acme")
	_, _, err = c.GetByURL(ctx, page)
	require.ErrorIs(t, err, modules.ErrSchema)
	_, found, err := webnavigator.FailOpen(c, nil).GetByURL(ctx, page)
	require.NoError(t, err)
	require.False(t, found)
}
