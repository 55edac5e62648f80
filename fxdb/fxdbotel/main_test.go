package fxdbotel_test

import (
	"context"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

func as(ctx context.Context, name string) context.Context {
	return tenant.NewContext(ctx, tenant.Identity{Tenant: name, User: "secret user"})
}

// urlOf returns the connection string of a database of the test's own.
func urlOf(t testing.TB) string {
	t.Helper()
	return testkit.Pool(t).Config().ConnString()
}

// traced opens a pool, traced to memory.
func traced(t testing.TB, change ...func(*fxdbotel.Config)) (*fxdb.DB, *tracing) {
	t.Helper()
	tr := newTracing(t)
	cfg := fxdbotel.Config{TracerProvider: tr.provider, MeterProvider: sdkmetric.NewMeterProvider()}
	for _, fn := range change {
		fn(&cfg)
	}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMin: 1, PoolMax: 1}, fxdb.WithTracer(fxdbotel.NewTracer(cfg)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db, tr
}

type tracing struct {
	provider *sdktrace.TracerProvider
	exporter *tracetest.InMemoryExporter
}

// patience bounds every wait of a test. Only a hang lasts as long.
const patience = time.Minute

// giveUp waits in vain: giveUp ends the wait after the pool shows the waiter, and after 2 ms at
// least, so that the wait has a span.
func giveUp(t testing.TB, ctx context.Context, db *fxdb.DB, wait func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- wait(ctx) }()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
	<-time.After(2 * time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func newTracing(t testing.TB) *tracing {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return &tracing{provider, exporter}
}

// request runs fn beneath a span, and returns the spans of fn in the order of the spans' ends,
// without prepares, connects, and acquires slowed by a busy machine.
func (tr *tracing) request(ctx context.Context, fn func(context.Context)) tracetest.SpanStubs {
	return slices.DeleteFunc(tr.whole(ctx, fn), func(s tracetest.SpanStub) bool { return s.Name == "acquire connection" })
}

// whole does the same as request, and returns the acquires too.
func (tr *tracing) whole(ctx context.Context, fn func(context.Context)) tracetest.SpanStubs {
	tr.exporter.Reset()
	ctx, parent := tr.provider.Tracer("test").Start(ctx, "request")
	fn(ctx)
	parent.End()
	var spans tracetest.SpanStubs
	for _, s := range tr.exporter.GetSpans() {
		if s.Name != "request" && s.Name != "connect" && s.Name != "PREPARE" {
			spans = append(spans, s)
		}
	}
	return spans
}

func hasAttribute(s tracetest.SpanStub, key attribute.Key) bool {
	return slices.ContainsFunc(s.Attributes, func(a attribute.KeyValue) bool { return a.Key == key })
}

// figures are the db.client.connection metrics of a pool, by name{attributes} without the pool's
// name. A histogram is _count, and _sum in nanoseconds.
type figures map[string]int

// collect returns the figures of each pool, by the pool's name.
func collect(t testing.TB, reader sdkmetric.Reader) map[string]figures {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &got))
	pools := make(map[string]figures)
	put := func(name, suffix string, attrs attribute.Set, v int) {
		var pool string
		var labels []string
		for _, a := range attrs.ToSlice() {
			if a.Key == "db.client.connection.pool.name" {
				pool = a.Value.AsString()
				continue
			}
			labels = append(labels, string(a.Key[strings.LastIndex(string(a.Key), ".")+1:])+"="+a.Value.AsString())
		}
		sort.Strings(labels)
		if pools[pool] == nil {
			pools[pool] = figures{}
		}
		key := strings.TrimPrefix(name, "db.client.connection.") + suffix
		if len(labels) > 0 {
			key += "{" + strings.Join(labels, ",") + "}"
		}
		pools[pool][key] = v
	}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			if !strings.HasPrefix(m.Name, "db.client.connection.") {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					put(m.Name, "", p.Attributes, int(p.Value))
				}
			case metricdata.Histogram[float64]:
				require.Equal(t, "s", m.Unit)
				for _, p := range data.DataPoints {
					put(m.Name, "_count", p.Attributes, int(p.Count))
					put(m.Name, "_sum", p.Attributes, int(p.Sum*float64(time.Second)))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	return pools
}

// collectOne returns the figures of a reader with a single pool.
func collectOne(t testing.TB, reader sdkmetric.Reader) figures {
	t.Helper()
	pools := collect(t, reader)
	require.Len(t, pools, 1)
	for _, f := range pools {
		return f
	}
	return nil
}
