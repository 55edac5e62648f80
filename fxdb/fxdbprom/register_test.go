package fxdbprom_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func register(t testing.TB, reg prometheus.Registerer, db *fxdb.DB) (unregister func()) {
	t.Helper()
	unregister, err := fxdbprom.Register(reg, db)
	require.NoError(t, err)
	return unregister
}

func acquire(t testing.TB, db *fxdb.DB) *pgxpool.Conn {
	t.Helper()
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	return conn
}

func TestAFullPoolShowsWhoHoldsAndWhoWaits(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 0, 2 }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	reports, web := db.Named("reports"), db.Named("web")

	f := gatherOne(t, reg)
	require.Equal(t, 2, f["onepool_connections_max"])
	require.Equal(t, 1, f["onepool_connections_idle"])
	require.Equal(t, 1, f["onepool_status{status=healthy}"])
	require.Contains(t, f, "onepool_acquires_total{client=web,result=timeout}", "a counter has to be seen at 0")
	require.Zero(t, f["onepool_acquires_total{client=web,result=timeout}"])

	first, second := acquire(t, reports), acquire(t, reports)
	got := make(chan *pgxpool.Conn)
	go func() {
		conn, _ := web.Acquire(t.Context())
		got <- conn
	}()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)

	f = gatherOne(t, reg)
	for series, want := range map[string]int{
		"onepool_connections_max":                             2,
		"onepool_connections":                                 2,
		"onepool_connections_idle":                            0,
		"onepool_connections_active":                          2,
		"onepool_acquires_waiting":                            1,
		"onepool_client_acquires_waiting{client=web}":         1,
		"onepool_client_acquires_waiting{client=reports}":     0,
		"onepool_client_connections_held{client=reports}":     2,
		"onepool_client_connections_held{client=web}":         0,
		"onepool_status{status=healthy}":                      0,
		"onepool_status{status=degraded}":                     0,
		"onepool_status{status=unhealthy}":                    1,
		"onepool_acquires_total{client=reports,result=ok}":    2,
		"onepool_acquires_total{client=web,result=ok}":        0,
		"onepool_connections_opened_total":                    2,
		"onepool_connections_closed_total{reason=other}":      0,
		"onepool_connect_seconds_count{client=reports}":       1,
		"onepool_connection_hold_seconds_count{client=web}":   0,
		"onepool_acquire_wait_seconds_count{client=reports}":  2,
		"onepool_connection_hold_seconds_sum{client=reports}": 0,
	} {
		require.Contains(t, f, series)
		require.Equal(t, want, f[series], series)
	}

	first.Release()
	(<-got).Release()
	second.Release()
	f = gatherOne(t, reg)
	require.Zero(t, f["onepool_acquires_waiting"])
	require.Zero(t, f["onepool_client_connections_held{client=reports}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=web,result=ok}"])
	require.Equal(t, 1, f["onepool_acquire_wait_seconds_count{client=web}"])
	require.Positive(t, f["onepool_acquire_wait_seconds_sum{client=web}"])
	require.Equal(t, 2, f["onepool_connection_hold_seconds_count{client=reports}"])
	require.Positive(t, f["onepool_connection_hold_seconds_sum{client=reports}"])
}

func TestAcquiresAreCountedByResult(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.ConnectionTimeout = 0, 1, limit
	}))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	holder, late := db.Named("holder"), db.Named("late")
	conn := acquire(t, holder)

	_, err := late.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	giveUp(t, db, func(ctx context.Context) error { _, err := late.Acquire(ctx); return err })
	_, err = db.Pool().Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)

	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_acquires_total{client=holder,result=ok}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=late,result=timeout}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=late,result=canceled}"])
	require.Equal(t, 0, f["onepool_acquires_total{client=late,result=queue_full}"])
	require.Equal(t, 0, f["onepool_acquires_total{client=late,result=error}"])
	require.Equal(t, 0, f["onepool_acquires_total{client=late,result=ok}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=raw pool,result=timeout}"])
	require.Equal(t, 2, f["onepool_acquire_wait_seconds_count{client=late}"])
	require.GreaterOrEqual(t, time.Duration(f["onepool_acquire_wait_seconds_sum{client=late}"]), limit)
	require.Zero(t, f["onepool_connection_hold_seconds_count{client=late}"])
	conn.Release()
}

func TestAFullQueueIsCounted(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.QueueMax = 0, 1, 1 }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	conn, late := acquire(t, db), db.Named("late")
	var first sync.WaitGroup
	first.Go(func() {
		if conn, err := late.Acquire(t.Context()); err == nil {
			conn.Release()
		}
	})
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
	_, err := late.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrQueueFull)
	conn.Release()
	first.Wait()

	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_acquires_total{client=late,result=queue_full}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=late,result=ok}"])
	require.Equal(t, 1, f["onepool_acquires_total{client=app,result=ok}"])
}

func TestConnectionsClosedAreCountedByReason(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 0, 1 }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	conn := acquire(t, db)
	_, err := conn.Exec(t.Context(), "begin") // the pool closes a connection left in a transaction
	require.NoError(t, err)
	conn.Release()
	require.Eventually(t, func() bool { return db.Stats().Total == 0 }, patience, time.Millisecond)
	acquire(t, db).Release()

	f := gatherOne(t, reg)
	require.Equal(t, 2, f["onepool_connections_opened_total"])
	require.Equal(t, 1, f["onepool_connections_closed_total{reason=other}"])
	require.Equal(t, 0, f["onepool_connections_closed_total{reason=idle}"])
	require.Equal(t, 0, f["onepool_connections_closed_total{reason=lifetime}"])
}

func TestConnectsThatFailAreCounted(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 0, 1 }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	name := db.Pool().Config().ConnConfig.Database
	owner := testkit.OwnerPool(t, db)
	_, err := owner.Exec(t.Context(), "alter database "+name+" with connection limit 0")
	require.NoError(t, err)
	defer func() {
		_, err := owner.Exec(context.Background(), "alter database "+name+" with connection limit -1")
		require.NoError(t, err)
	}()
	db.Pool().Reset()
	require.Eventually(t, func() bool { return db.Stats().Total == 0 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := db.Acquire(ctx)
		ended <- err
	}()
	require.Eventually(t, func() bool { return gatherOne(t, reg)["onepool_connect_failures_total{client=app}"] > 0 }, patience, time.Millisecond)
	cancel()
	require.Error(t, <-ended)

	f := gatherOne(t, reg)
	require.Zero(t, f["onepool_connect_seconds_count{client=app}"])
	require.Zero(t, f["onepool_acquires_total{client=app,result=ok}"])
}

func TestTwoPoolsFitIntoOneRegistry(t *testing.T) {
	t.Parallel()
	one := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 3 }))
	two := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 4 }))
	reg := prometheus.NewRegistry()
	forget := register(t, reg, one)
	defer register(t, reg, two)()

	pools := gather(t, reg)
	require.Len(t, pools, 2)
	sizes := map[string]int{}
	for name, f := range pools {
		sizes[name[strings.LastIndex(name, "/")+1:]] = f["onepool_connections_max"]
	}
	require.Equal(t, map[string]int{
		one.Pool().Config().ConnConfig.Database: 3,
		two.Pool().Config().ConnConfig.Database: 4,
	}, sizes)

	forget()
	require.Equal(t, 4, gatherOne(t, reg)["onepool_connections_max"], "the wrong one was taken out")
}

func TestAPoolIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewRegistry()
	unregister := register(t, reg, db)
	_, err := fxdbprom.Register(reg, db)
	require.ErrorContains(t, err, "registered already")
	require.ErrorContains(t, err, "WrapRegistererWith")
	require.NotEmpty(t, gather(t, reg), "the attempt took the first one out")

	wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"role": "reader"}, prometheus.NewRegistry())
	register(t, wrapped, db)()

	unregister()
	require.Empty(t, gather(t, reg))
	again := register(t, reg, db)
	unregister() // a no-op: the new registration stays
	require.NotEmpty(t, gather(t, reg))
	again()
	require.Empty(t, gather(t, reg))
}

// keeper keeps the registered collectors, as a registry must not.
type keeper struct {
	prometheus.Registerer
	kept prometheus.Collector
}

func (k *keeper) Register(c prometheus.Collector) error {
	k.kept = c
	return k.Registerer.Register(c)
}

func TestNothingIsCountedAfterUnregister(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := &keeper{Registerer: prometheus.NewRegistry()}
	unregister := register(t, reg, db)
	acquire(t, db).Release()
	unregister()
	acquire(t, db).Release()
	after := prometheus.NewRegistry()
	require.NoError(t, after.Register(reg.kept))
	require.Equal(t, 1, gatherOne(t, after)["onepool_acquires_total{client=app,result=ok}"])
}

func TestTheRegistryDoesNotKeepAPoolAlive(t *testing.T) {
	t.Parallel()
	url := testkit.Pool(t).Config().ConnString()
	reg := prometheus.NewRegistry()
	pool := func() weak.Pointer[fxdb.DB] {
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, PoolMax: 2})
		require.NoError(t, err)
		unregister := register(t, reg, db)
		require.NotEmpty(t, gather(t, reg))
		unregister()
		require.NoError(t, db.Close(context.Background()))
		return weak.Make(db)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return pool.Value() == nil
	}, patience, 10*time.Millisecond)
	runtime.KeepAlive(reg)
}

func TestNoLabelHoldsAPassword(t *testing.T) {
	t.Parallel()
	url := testkit.Pool(t).Config().ConnString()
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: url + sep + "password=hunter2", ApplicationName: "shop"})
	require.NoError(t, err)
	defer db.Close(context.Background())
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	for name := range gather(t, reg) {
		require.True(t, strings.HasPrefix(name, "shop@"), name)
		require.NotContains(t, name, "hunter2")
	}
}

func TestTheNamesAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewPedanticRegistry()
	defer register(t, reg, db)()
	acquire(t, db).Release()
	families, err := reg.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// A scrape may come at any time.
func TestScrapesAndUsesDoNotRace(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 2 }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		client := db.Named(name)
		wg.Go(func() {
			for range 50 {
				if conn, err := client.Acquire(t.Context()); err == nil {
					conn.Release()
				}
			}
		})
	}
	for range 20 {
		_, err := reg.Gather()
		require.NoError(t, err)
	}
	wg.Wait()
	f := gatherOne(t, reg)
	for _, name := range []string{"a", "b", "c", "d"} {
		require.Equal(t, 50, f["onepool_acquires_total{client="+name+",result=ok}"])
		require.Equal(t, 50, f["onepool_connection_hold_seconds_count{client="+name+"}"])
	}
}

func TestADedicatedPoolHasSeriesOfItsOwn(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.ApplicationName, c.Dedicated = 0, 2, "shop", []string{"left=3"}
	}))
	reg := prometheus.NewRegistry()
	unregister := register(t, reg, db)
	left := db.Named("left")
	conn := acquire(t, left)
	acquire(t, db).Release()

	pools := gather(t, reg)
	require.Len(t, pools, 2)
	for name, f := range pools {
		mine, others, most, held := "app", "left", 2, 0
		if strings.HasPrefix(name, "shop/left@") {
			mine, others, most, held = "left", "app", 3, 1
		}
		require.Equal(t, most, f["onepool_connections_max"], name)
		require.Equal(t, held, f["onepool_connections_active"], name)
		require.Equal(t, held, f["onepool_client_connections_held{client="+mine+"}"], name)
		require.Equal(t, 1, f["onepool_acquires_total{client="+mine+",result=ok}"], name)
		require.NotContains(t, f, "onepool_acquires_total{client="+others+",result=ok}", name)
		require.NotContains(t, f, "onepool_client_connections_held{client="+others+"}", name)
	}
	conn.Release()
	unregister()
	require.Empty(t, gather(t, reg))
}

func TestWhatADryRunWouldHoldUpAndSystemWorkAreCounted(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.Sharing = 0, 2, "dry-run" }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	one := db.Named("one", fxdb.MaxConns(1))
	first, second := acquire(t, one), acquire(t, one)
	first.Release()
	second.Release()
	require.NoError(t, one.Ping(t.Context()))
	_, err := one.Exec(tenant.System(t.Context(), "a test"), "select 1")
	require.NoError(t, err)
	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_client_acquires_would_wait_total{client=one}"])
	require.Equal(t, 1, f["onepool_client_system_uses_total{client=one}"])
}
