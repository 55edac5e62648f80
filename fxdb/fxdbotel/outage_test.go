package fxdbotel_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/testkit"
)

func TestACallerInAnOutageMakesAHandfulOfSpans(t *testing.T) {
	t.Parallel()
	server, tr := pgfault.Start(t), newTracing(t)
	reader, provider := measured()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: server.AppURL(), PoolMin: 1, PoolMax: 2, ConnectionTimeout: 2 * time.Second},
		fxdb.WithTracer(fxdbotel.NewTracer(fxdbotel.Config{TracerProvider: tr.provider, MeterProvider: provider})))
	require.NoError(t, err)
	defer db.Close(context.Background())
	observe(t, provider, db)
	server.Kill(t)
	orders := db.Named("orders")
	tr.exporter.Reset()
	ctx, parent := tr.provider.Tracer("test").Start(t.Context(), "request")
	_, err = orders.Exec(ctx, "select 1")
	require.Error(t, err)
	tr.exporter.Reset() // now the pool knows of the outage
	_, err = orders.Exec(ctx, "select 'hunter2'")
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	parent.End()

	var acquires, connects tracetest.SpanStubs
	for _, s := range tr.exporter.GetSpans() {
		switch s.Name {
		case "acquire connection":
			acquires = append(acquires, s)
		case "connect":
			connects = append(connects, s)
		case "request":
			continue
		}
		requireAttribute(t, s, "db.namespace", "postgres")
		requireAttribute(t, s, "server.address", db.Pool().Config().ConnConfig.Host)
		requireAttribute(t, s, "db.client.connection.pool.name", db.Monitor().Name())
		requireAttribute(t, s, "onepool.client", "orders")
	}
	require.Len(t, acquires, 1)
	requireAttribute(t, acquires[0], "error.type", "timeout")
	require.LessOrEqual(t, len(connects), 2, "a single prober dials for all callers once the pool knows of the outage")
	require.Equal(t, len(connects) > 1, hasAttribute(acquires[0], fxdbotel.ConnectsKey), "the attempts are counted: %v", acquires[0].Attributes)
	for i, s := range connects {
		require.Equal(t, acquires[0].SpanContext.SpanID(), s.Parent.SpanID())
		requireAttribute(t, s, "error.type", "connection")
		if i > 0 {
			require.False(t, s.StartTime.Before(connects[i-1].EndTime), "siblings overlap")
		}
	}
	require.Contains(t, series(t, reader, "onepool.reachable"), attribute.NewSet(attribute.String("db.client.connection.pool.name", db.Monitor().Name())))
}

// series returns the attributes of a metric's series.
func series(t *testing.T, reader interface {
	Collect(context.Context, *metricdata.ResourceMetrics) error
}, name string) (all []attribute.Set) {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					all = append(all, p.Attributes)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					all = append(all, p.Attributes)
				}
			}
		}
	}
	return all
}

func TestOperationsOfTwoPoolsAndTheirErrorsAreDistinct(t *testing.T) {
	t.Parallel()
	reader, provider := measured()
	tracer := fxdbotel.NewTracer(fxdbotel.Config{MeterProvider: provider})
	want := make(map[string][]string) // error types, by pool
	for range 2 {
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 2}, fxdb.WithTracer(tracer))
		require.NoError(t, err)
		defer db.Close(context.Background())
		_, err = db.Exec(t.Context(), "select 1/$1::int", 1)
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), "select 1/$1::int", 0)
		require.Error(t, err)
		want[db.Monitor().Name()] = []string{"", "22012"}
	}
	got := make(map[string][]string)
	for _, set := range series(t, reader, "db.client.operation.duration") {
		operation, _ := set.Value("db.operation.name")
		if operation.AsString() != "SELECT" {
			continue
		}
		for _, key := range []attribute.Key{"db.namespace", "server.address", "db.system.name", fxdbotel.ClientKey} {
			require.True(t, set.HasValue(key), key)
		}
		pool, _ := set.Value("db.client.connection.pool.name")
		class, _ := set.Value("error.type")
		code, _ := set.Value("db.response.status_code")
		require.Equal(t, class.AsString(), code.AsString())
		got[pool.AsString()] = append(got[pool.AsString()], class.AsString())
	}
	require.Len(t, got, 2)
	for pool, classes := range want {
		require.ElementsMatch(t, classes, got[pool])
	}
}

func TestLogLinesHoldTheIdsOfTraceAndSpan(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	tr := newTracing(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 2, SlowQuery: time.Millisecond, LeakThreshold: 20 * time.Millisecond},
		fxdb.WithLogger(zap.New(core)), fxdb.WithTracer(fxdbotel.NewTracer(fxdbotel.Config{TracerProvider: tr.provider})))
	require.NoError(t, err)
	defer db.Close(context.Background())
	spans := tr.request(as(t.Context(), "acme"), func(ctx context.Context) {
		_, err := db.Exec(ctx, "select pg_sleep(0.01)")
		require.NoError(t, err)
	})
	require.Len(t, spans, 1)
	slow := logs.FilterMessage("slow statement").All()
	require.Len(t, slow, 1)
	require.Equal(t, spans[0].SpanContext.TraceID().String(), slow[0].ContextMap()["trace_id"])
	require.Equal(t, spans[0].SpanContext.SpanID().String(), slow[0].ContextMap()["span_id"])

	ctx, parent := tr.provider.Tracer("test").Start(t.Context(), "request")
	conn, err := db.Acquire(ctx)
	require.NoError(t, err)
	mine := zap.Stringer("trace_id", parent.SpanContext().TraceID())
	require.Eventually(t, func() bool { return logs.FilterMessageSnippet("held too long").FilterField(mine).Len() == 1 }, patience, time.Millisecond)
	conn.Release()
	parent.End()

	_, err = db.Exec(t.Context(), "select pg_sleep(0.01)")
	require.NoError(t, err)
	last := logs.FilterMessage("slow statement").All()
	require.NotContains(t, last[len(last)-1].ContextMap(), "trace_id", "there is no trace")
}

func TestTheMetricsStayUntilTheEndOfADrain(t *testing.T) {
	t.Parallel()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: testkit.Pool(t).Config().ConnString(), PoolMax: 2})
	require.NoError(t, err)
	reader, provider := measured()
	observe(t, provider, db)
	conn := acquire(t, db)
	closed := make(chan error, 1)
	go func() { closed <- db.Close(context.Background()) }()
	require.Eventually(t, func() bool { return db.Stats().Draining }, patience, time.Millisecond)
	require.Equal(t, 1, collectOne(t, reader)["count{client=app,state=used}"])
	conn.Release()
	require.NoError(t, <-closed)
	require.Empty(t, series(t, reader, "onepool.draining"))
	require.NotContains(t, collectOne(t, reader), "max")
}
