package fxdbotel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/testkit"
)

// app is an application on a database of the test's own.
func app(t testing.TB, tr *tracing, provider *sdkmetric.MeterProvider, db **fxdb.DB, opts ...fx.Option) *fx.App {
	t.Helper()
	return fx.New(fx.NopLogger, fxdb.Module, fxdbotel.Module,
		fx.Replace(fxdb.Config{URL: urlOf(t), PoolMin: 2, PoolMax: 3}), fx.Populate(db),
		fx.Supply(
			fx.Annotate(tr.provider, fx.As(new(trace.TracerProvider))),
			fx.Annotate(provider, fx.As(new(metric.MeterProvider))),
		), fx.Options(opts...))
}

func TestTheModuleTracesAndMeasures(t *testing.T) {
	t.Parallel()
	tr := newTracing(t)
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	for range 2 { // one after the other
		var db *fxdb.DB
		a := app(t, tr, provider, &db, fx.Decorate(func(c fxdbotel.Config) fxdbotel.Config {
			c.HideStatements = true
			return c
		}))
		require.Empty(t, collect(t, reader), "registered before the start")
		require.NoError(t, a.Start(t.Context()))
		spans := tr.request(as(t.Context(), "acme"), func(ctx context.Context) {
			_, err := db.Exec(ctx, "select 1")
			require.NoError(t, err)
		})
		require.Equal(t, []string{"SELECT"}, names(spans))
		requireAttribute(t, spans[0], "onepool.tenant", "acme")
		require.False(t, hasAttribute(spans[0], "db.query.text"), "the graph's Config was not used")

		f := collectOne(t, reader)
		require.Equal(t, 3, f["max"])
		require.Equal(t, 2, f["idle.min"])
		// The pool itself opens a part of the minimum.
		require.GreaterOrEqual(t, f["create_time_count{client=start}"]+f["create_time_count"], 2, "the first connections count too")
		require.Equal(t, 1, f["use_time_count{client=app}"])

		require.NoError(t, a.Stop(context.Background()))
		require.Empty(t, collect(t, reader))
	}
}

func TestTheModuleUsesTheGlobalProvidersWhereThereIsNone(t *testing.T) {
	t.Parallel()
	var db *fxdb.DB
	a := fxtest.New(t, fxdb.Module, fxdbotel.Module, fx.Replace(fxdb.Config{URL: urlOf(t), PoolMax: 2}), fx.Populate(&db))
	a.RequireStart()
	require.NoError(t, db.Ping(t.Context()))
	a.RequireStop()
}

func TestAFailedStartLeavesNothingRegistered(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var db *fxdb.DB
	a := app(t, newTracing(t), provider, &db, fx.Invoke(func(lc fx.Lifecycle, _ *fxdb.DB) {
		lc.Append(fx.StartHook(func() error { return failed }))
	}))
	require.ErrorIs(t, a.Start(t.Context()), failed)
	collect(t, reader) // drop the records of the start
	require.Empty(t, collect(t, reader))
}

func TestTheModuleMeasuresASwappedPool(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var db *fxdb.DB
	a := fxtest.New(t, fxdb.Module, fxdbotel.Module, testkit.Swap(t), fx.Populate(&db),
		fx.Supply(fx.Annotate(provider, fx.As(new(metric.MeterProvider)))))
	a.RequireStart()
	require.Equal(t, 10, collectOne(t, reader)["max"])
	a.RequireStop()
	require.Empty(t, collect(t, reader))
}
