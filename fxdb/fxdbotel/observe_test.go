package fxdbotel_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func observe(t testing.TB, provider *sdkmetric.MeterProvider, db *fxdb.DB) (stop func()) {
	t.Helper()
	end, err := fxdbotel.Observe(db, fxdbotel.Config{MeterProvider: provider})
	require.NoError(t, err)
	return func() { require.NoError(t, end()) }
}

func measured() (*sdkmetric.ManualReader, *sdkmetric.MeterProvider) {
	reader := sdkmetric.NewManualReader()
	return reader, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
}

// delta exports only the events since the last collection.
func delta(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }

func acquire(t testing.TB, db *fxdb.DB) *pgxpool.Conn {
	t.Helper()
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	return conn
}

func TestAFullPoolShowsWhoHoldsAndWhoWaits(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 0, 2 }))
	reader, provider := measured()
	defer observe(t, provider, db)()
	reports, web := db.Named("reports"), db.Named("web")

	first, second := acquire(t, reports), acquire(t, reports)
	got := make(chan *pgxpool.Conn)
	go func() {
		conn, _ := web.Acquire(t.Context())
		got <- conn
	}()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)

	f := collectOne(t, reader)
	for series, want := range map[string]int{
		"max":                               2,
		"idle.min":                          0,
		"count{state=idle}":                 0,
		"count{client=reports,state=used}":  2,
		"count{client=web,state=used}":      0,
		"pending_requests{client=web}":      1,
		"pending_requests{client=reports}":  0,
		"pending_requests":                  0,
		"timeouts{client=web}":              0,
		"wait_time_count{client=reports}":   2,
		"create_time_count{client=reports}": 1,
	} {
		require.Contains(t, f, series)
		require.Equal(t, want, f[series], series)
	}
	require.NotContains(t, f, "use_time_count{client=reports}")

	first.Release()
	(<-got).Release()
	second.Release()
	f = collectOne(t, reader)
	require.Equal(t, 2, f["count{state=idle}"])
	require.Zero(t, f["count{client=reports,state=used}"])
	require.Zero(t, f["pending_requests{client=web}"])
	require.Equal(t, 1, f["wait_time_count{client=web}"])
	require.Positive(t, f["wait_time_sum{client=web}"])
	require.Equal(t, 2, f["use_time_count{client=reports}"])
	require.Positive(t, f["use_time_sum{client=reports}"])
}

func TestWaitsThatFailHaveDistinctReasons(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.ConnectionTimeout = 0, 1, limit }))
	reader, provider := measured()
	defer observe(t, provider, db)()
	late := db.Named("late")
	conn := acquire(t, db)
	_, err := late.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	_, err = db.Pool().Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	giveUp(t, t.Context(), db, func(ctx context.Context) error { _, err := late.Acquire(ctx); return err })
	conn.Release()

	f := collectOne(t, reader)
	require.Equal(t, 1, f["timeouts{client=late}"])
	require.Equal(t, 1, f["timeouts{client=raw pool}"])
	require.Equal(t, 0, f["timeouts{client=app}"])
	require.Equal(t, 1, f["wait_time_count{client=late,type=timeout}"])
	require.GreaterOrEqual(t, time.Duration(f["wait_time_sum{client=late,type=timeout}"]), limit)
	require.Equal(t, 1, f["wait_time_count{client=late,type=canceled}"])
	require.NotContains(t, f, "wait_time_count{client=late}")
	require.NotContains(t, f, "use_time_count{client=late}")
}

func TestAFullQueueHasAReasonOfItsOwn(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.QueueMax = 0, 1, 1 }))
	reader, provider := measured()
	defer observe(t, provider, db)()
	conn := acquire(t, db)
	late, done := db.Named("late"), make(chan error)
	wait := func(acquire func(context.Context) (*pgxpool.Conn, error)) {
		conn, err := acquire(t.Context())
		if err == nil {
			conn.Release()
		}
		done <- err
	}
	go wait(db.Pool().Acquire)
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
	require.Equal(t, 1, collectOne(t, reader)["pending_requests"], "a caller of the raw pool has no client")
	go wait(late.Acquire) // a full queue still takes the first waiter of a client
	require.Eventually(t, func() bool { return db.Stats().Waiting == 2 }, patience, time.Millisecond)
	_, err := late.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrQueueFull)
	conn.Release()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	f := collectOne(t, reader)
	require.Equal(t, 1, f["wait_time_count{client=late,type=queue_full}"])
	require.Zero(t, f["timeouts{client=late}"])
}

func TestNothingIsObservedAfterTheStop(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	cumulative := sdkmetric.NewManualReader()
	recent := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(cumulative), sdkmetric.WithReader(recent))
	stop := observe(t, provider, db)
	acquire(t, db).Release()
	require.Equal(t, 1, collectOne(t, recent)["use_time_count{client=app}"])
	require.Equal(t, 10, collectOne(t, cumulative)["max"])

	stop()
	stop() // a no-op
	acquire(t, db).Release()
	require.Empty(t, collect(t, recent))
	// Only the earlier counts of the histograms are left.
	f := collectOne(t, cumulative)
	require.Equal(t, 1, f["use_time_count{client=app}"])
	for series := range f {
		require.Contains(t, series, "_time_")
	}
}

func TestTwoPoolsAtTheSameTime(t *testing.T) {
	t.Parallel()
	one := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 3 }))
	two := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 4 }))
	reader, provider := measured()
	stop := observe(t, provider, one)
	defer observe(t, provider, two)()
	sizes := map[string]int{}
	for name, f := range collect(t, reader) {
		sizes[name[strings.LastIndex(name, "/")+1:]] = f["max"]
	}
	require.Equal(t, map[string]int{
		one.Pool().Config().ConnConfig.Database: 3,
		two.Pool().Config().ConnConfig.Database: 4,
	}, sizes)
	stop()
	require.Equal(t, 4, collectOne(t, reader)["max"])
}

func TestTheMeterProviderDoesNotKeepAPoolAlive(t *testing.T) {
	t.Parallel()
	url := urlOf(t)
	reader, provider := measured()
	pool := func() weak.Pointer[fxdb.DB] {
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, PoolMax: 2})
		require.NoError(t, err)
		stop := observe(t, provider, db)
		require.NotEmpty(t, collect(t, reader))
		stop()
		require.NoError(t, db.Close(context.Background()))
		return weak.Make(db)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return pool.Value() == nil
	}, patience, 10*time.Millisecond)
	runtime.KeepAlive(provider)
}

func TestADedicatedPoolHasMetricsOfItsOwn(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.ApplicationName, c.Dedicated = 0, 2, "shop", []string{"left=3"}
	}))
	reader, provider := measured()
	defer observe(t, provider, db)()
	defer acquire(t, db.Named("left")).Release()
	acquire(t, db).Release()

	pools := collect(t, reader)
	require.Len(t, pools, 2)
	for name, f := range pools {
		mine, others, most, held := "app", "left", 2, 0
		if strings.HasPrefix(name, "shop/left@") {
			mine, others, most, held = "left", "app", 3, 1
		}
		require.Equal(t, most, f["max"], name)
		require.Equal(t, held, f["count{client="+mine+",state=used}"], name)
		require.Equal(t, 1, f["wait_time_count{client="+mine+"}"], name)
		require.NotContains(t, f, "wait_time_count{client="+others+"}", name)
		require.NotContains(t, f, "count{client="+others+",state=used}", name)
	}
}

// sums returns the counters and the histograms' counts of the metric name, by client.
func sums(t *testing.T, reader sdkmetric.Reader, name string) map[string]int {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	found := make(map[string]int)
	add := func(attrs attribute.Set, n int) {
		client, _ := attrs.Value(fxdbotel.ClientKey)
		found[client.AsString()] += n
	}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, int(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, int(p.Count))
				}
			}
		}
	}
	return found
}

func TestOperationsAreMeasuredByClient(t *testing.T) {
	t.Parallel()
	reader, provider := measured()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMin: 1, PoolMax: 2, Sharing: "dry-run"},
		fxdb.WithTracer(fxdbotel.NewTracer(fxdbotel.Config{MeterProvider: provider})))
	require.NoError(t, err)
	defer db.Close(context.Background())
	defer observe(t, provider, db)()
	one, other := db.Named("one", fxdb.MaxConns(1)), db.Named("other")

	for range 3 {
		_, err = one.Exec(as(t.Context(), "acme"), "select 1")
		require.NoError(t, err)
	}
	_, err = other.Exec(tenant.System(t.Context(), "a test"), "select 1/0")
	require.Error(t, err)
	first, second := acquire(t, one), acquire(t, one)
	first.Release()
	second.Release()

	took := sums(t, reader, "db.client.operation.duration")
	require.GreaterOrEqual(t, took["one"], 3)
	require.Positive(t, took["other"])
	require.Equal(t, map[string]int{"app": 0, "one": 1, "other": 0}, sums(t, reader, "onepool.client.connection.would_wait"))
	require.Equal(t, map[string]int{"app": 0, "one": 0, "other": 1}, sums(t, reader, "onepool.client.system_uses"))
}
