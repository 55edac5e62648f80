package fxdbprom_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
	"github.com/agentagency/onepool/testkit"
)

// app is an application on a database of the test's own.
func app(t testing.TB, db **fxdb.DB, opts ...fx.Option) *fx.App {
	t.Helper()
	url := testkit.Pool(t).Config().ConnString()
	return fx.New(fx.NopLogger, fxdb.Module, fxdbprom.Module,
		fx.Replace(fxdb.Config{URL: url, PoolMin: 2, PoolMax: 3}), fx.Populate(db), fx.Options(opts...))
}

func registerer(reg *prometheus.Registry) fx.Option {
	return fx.Supply(fx.Annotate(reg, fx.As(new(prometheus.Registerer))))
}

func TestAStoppedApplicationLeavesNothingRegistered(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	for range 2 { // one after the other
		var db *fxdb.DB
		a := app(t, &db, registerer(reg))
		require.Empty(t, gather(t, reg), "registered before the start")
		require.NoError(t, a.Start(t.Context()))
		acquire(t, db.Named("web")).Release()

		f := gatherOne(t, reg)
		require.Equal(t, 3, f["onepool_connections_max"])
		require.Equal(t, 1, f["onepool_acquires_total{client=web,result=ok}"])
		// The pool itself opens a part of the minimum.
		first := f["onepool_connect_seconds_count{client=start}"] + f["onepool_connect_seconds_count{client=pool}"]
		require.GreaterOrEqual(t, first, 2, "the first connections count too")
		require.Equal(t, f["onepool_connections_opened_total"], first+f["onepool_connect_seconds_count{client=web}"])

		require.NoError(t, a.Stop(context.Background()))
		require.Empty(t, gather(t, reg))
	}
}

func TestTwoApplicationsAtTheSameTime(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var one, two *fxdb.DB
	first, second := app(t, &one, registerer(reg)), app(t, &two, registerer(reg))
	require.NoError(t, first.Start(t.Context()))
	require.NoError(t, second.Start(t.Context()))
	require.Len(t, gather(t, reg), 2)
	require.NoError(t, first.Stop(context.Background()))
	require.Len(t, gather(t, reg), 1)
	require.NoError(t, second.Stop(context.Background()))
	require.Empty(t, gather(t, reg))
}

func TestAFailedStartLeavesNothingRegistered(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	fail := func(lc fx.Lifecycle) {
		lc.Append(fx.StartHook(func() error { return failed }))
	}
	after := func(lc fx.Lifecycle, _ *fxdb.DB) { fail(lc) }
	for name, hook := range map[string]any{"before": fail, "after": after} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			var db *fxdb.DB
			a := app(t, &db, registerer(reg), fx.Invoke(hook))
			require.ErrorIs(t, a.Start(t.Context()), failed)
			require.Empty(t, gather(t, reg))
		})
	}

	t.Run("of the pool itself", func(t *testing.T) {
		t.Parallel()
		reg := prometheus.NewRegistry()
		a := fx.New(fx.NopLogger, fxdb.Module, fxdbprom.Module, registerer(reg),
			fx.Replace(fxdb.Config{Host: t.TempDir(), Name: "nobody", User: "nobody"}))
		require.Error(t, a.Start(t.Context()))
		require.Empty(t, gather(t, reg))
	})
}

func TestTheModuleFindsItsRegistry(t *testing.T) {
	t.Parallel()
	t.Run("a registry", func(t *testing.T) {
		t.Parallel()
		reg := prometheus.NewRegistry()
		var db *fxdb.DB
		a := app(t, &db, fx.Supply(reg))
		require.NoError(t, a.Start(t.Context()))
		require.NotEmpty(t, gather(t, reg))
		require.NoError(t, a.Stop(context.Background()))
		require.Empty(t, gather(t, reg))
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		var db *fxdb.DB
		a := app(t, &db)
		require.NoError(t, a.Start(t.Context()))
		require.Len(t, gather(t, prometheus.DefaultGatherer), 1)
		require.NoError(t, a.Stop(context.Background()))
		require.Empty(t, gather(t, prometheus.DefaultGatherer))
	})
}

func TestTheModuleWorksOnASwappedPool(t *testing.T) {
	t.Parallel()
	reg := &keeper{Registerer: prometheus.NewRegistry()}
	var db *fxdb.DB
	a := fxtest.New(t, fxdb.Module, fxdbprom.Module, testkit.Swap(t), fx.Populate(&db),
		fx.Supply(fx.Annotate(reg, fx.As(new(prometheus.Registerer)))))
	a.RequireStart()
	acquire(t, db).Release()
	gatherer := reg.Registerer.(*prometheus.Registry)
	require.Equal(t, 10, gatherOne(t, gatherer)["onepool_connections_max"])
	a.RequireStop()
	require.Empty(t, gather(t, gatherer))

	_, err := db.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining, "the stop has drained the pool")
	after := prometheus.NewRegistry()
	require.NoError(t, after.Register(reg.kept))
	require.Equal(t, 1, gatherOne(t, after)["onepool_acquires_total{client=app,result=ok}"])
}
