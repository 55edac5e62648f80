package knowledge_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

func TestFailOpenIsTheClientWhileTheDatabaseIsThere(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	l := knowledge.FailOpen(c, nil)
	for name, err := range useStore(l, as(t, "acme")) {
		require.NoError(t, err, name)
	}
	require.NoError(t, l.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{Available: true}))
	h, err := l.ProviderHealth(t.Context(), "google")
	require.NoError(t, err)
	require.True(t, h.Available)
	_, err = l.StoreQuery(as(t, "acme"), query("q"))
	require.ErrorIs(t, err, modules.ErrConflict, "the caller's mistakes stay errors")
	require.ErrorIs(t, l.SetQueryStatus(as(t, "acme"), "x", knowledge.Failed, ""), knowledge.ErrQueryNotFound)
	for name, err := range useStore(l, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	require.Zero(t, l.Dropped())
}

func TestFailOpenGoesOnWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, db.Close(t.Context()))
	for name, err := range useStore(c, ctx) {
		require.ErrorIs(t, err, fxdb.ErrDraining, name)
	}
	core, logs := observer.New(zap.WarnLevel)
	l := knowledge.FailOpen(c, zap.New(core))
	for name, err := range useStore(l, ctx) {
		require.NoError(t, err, name)
	}
	require.EqualValues(t, 8, l.Dropped())
	require.NotZero(t, logs.Len())
	id, err := l.StoreQuery(ctx, query("q"))
	require.NoError(t, err)
	require.Equal(t, "q", id)
	require.NoError(t, l.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{}))
	_, err = l.ProviderHealth(ctx, "google")
	require.ErrorIs(t, err, knowledge.ErrProviderNotFound)

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = l.StoreQuery(canceled, query("q"))
	require.Error(t, err, "the caller's own end is not the database's")
}

func TestStartAnyway(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := testkit.DB(t).Pool().Config().ConnString()
	start := func(cfg knowledge.Config) (*fx.App, *knowledge.Client, error) {
		var c *knowledge.Client
		app := fx.New(fx.NopLogger, fxdb.Module, knowledge.Module, fx.Supply(cfg), fx.Replace(fxdb.Config{URL: url}), fx.Populate(&c))
		return app, c, app.Start(t.Context())
	}
	_, _, err := start(knowledge.Config{})
	require.ErrorIs(t, err, modules.ErrSchema)
	app, c, err := start(knowledge.Config{StartAnyway: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Stop(context.Background())) }()
	ctx := as(t, "acme")
	_, err = c.StoreQuery(ctx, query("q"))
	require.ErrorIs(t, err, modules.ErrSchema)
	_, err = c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{})
	require.ErrorIs(t, err, modules.ErrSchema)
	_, err = knowledge.FailOpen(c, nil).StoreQuery(ctx, query("q"))
	require.NoError(t, err)
}
