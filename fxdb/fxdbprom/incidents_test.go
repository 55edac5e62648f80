package fxdbprom_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/testkit"
)

// inTime bounds a use of the pool.
func inTime(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestAServerThatIsAwayDiffersFromABusyPool(t *testing.T) {
	t.Parallel()
	server := pgfault.Start(t)
	db, err := fxdb.Open(inTime(t), fxdb.Config{URL: server.AppURL(), PoolMin: 2, PoolMax: 2, ApplicationName: "shop"})
	require.NoError(t, err)
	defer db.Close(context.Background())
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()

	conn, second := acquire(t, db), acquire(t, db)
	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_status{status=unhealthy}"], "all connections are in use")
	require.Equal(t, 1, f["onepool_reachable"])
	conn.Release()
	second.Release()

	require.Zero(t, gatherOne(t, reg)["onepool_resets_total"])
	server.KillBackend(t, "shop") // the server ends the remaining backends with 57P02
	require.Eventually(t, func() bool {
		_ = db.Ping(inTime(t))
		return gatherOne(t, reg)["onepool_resets_total"] == 1
	}, patience, 10*time.Millisecond)

	reachable := func() bool { return gatherOne(t, reg)["onepool_reachable"] == 1 }
	require.Eventually(t, reachable, patience, time.Millisecond)
	server.Freeze(t)
	require.Eventually(t, func() bool { return !reachable() }, patience, time.Millisecond,
		"nobody uses the pool, and nobody asks for its health")
	require.Equal(t, 1, gatherOne(t, reg)["onepool_status{status=unhealthy}"])
	server.Thaw(t)
	require.Eventually(t, reachable, patience, time.Millisecond)
}

func TestALeakIsShownForAsLongAsItLasts(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.LeakThreshold = 20 * time.Millisecond }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	const tooLong, longest = "onepool_client_connections_held_too_long{client=leaky}", "onepool_client_longest_hold_seconds{client=leaky}"
	leaky := db.Named("leaky")
	require.Contains(t, gatherOne(t, reg), tooLong, "a gauge has to be seen at 0")
	conn := acquire(t, leaky)
	require.Eventually(t, func() bool { return gatherOne(t, reg)[tooLong] == 1 }, patience, time.Millisecond)
	require.GreaterOrEqual(t, time.Duration(gatherOne(t, reg)[longest]), 20*time.Millisecond)
	require.Zero(t, gatherOne(t, reg)["onepool_client_connections_held_too_long{client=app}"])
	conn.Release()
	require.Zero(t, gatherOne(t, reg)[tooLong])
	require.Zero(t, gatherOne(t, reg)[longest])
}

func TestNestedAcquiresAreCounted(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.NestedAcquire = "strict" }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	const nested = "onepool_client_nested_acquires_total{client=orders}"
	orders := db.Named("orders")
	require.Contains(t, gatherOne(t, reg), nested, "a counter has to be seen at 0")
	err := orders.InTx(inTime(t), pgx.TxOptions{}, func(pgx.Tx) error { return orders.Ping(inTime(t)) })
	require.ErrorIs(t, err, fxdb.ErrNestedAcquire)
	require.Equal(t, 1, gatherOne(t, reg)[nested])
}

func TestRetriesAreCountedBySQLSTATE(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	orders := db.Named("orders")
	require.Contains(t, gatherOne(t, reg), "onepool_client_retries_total{client=orders,sqlstate=40001}", "a counter has to be seen at 0")
	attempts := 0
	require.NoError(t, orders.InTx(inTime(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
		if attempts++; attempts > 2 {
			return nil
		}
		_, err := tx.Exec(inTime(t), "do $$ begin raise sqlstate '40001'; end $$")
		return err
	}))
	f := gatherOne(t, reg)
	require.Equal(t, 2, f["onepool_client_retries_total{client=orders,sqlstate=40001}"])
	require.Equal(t, 0, f["onepool_client_retries_total{client=orders,sqlstate=40P01}"])

	attempts = 0
	require.NoError(t, orders.InTx(fxdb.Idempotent(inTime(t)), pgx.TxOptions{}, func(tx pgx.Tx) error {
		if attempts++; attempts > 1 {
			return nil
		}
		_, err := tx.Exec(inTime(t), "select pg_terminate_backend(pg_backend_pid())") // as an administrator does
		return err
	}))
	require.Equal(t, 1, gatherOne(t, reg)["onepool_client_retries_total{client=orders,sqlstate=57P01}"])
}

func TestStatementsAreTimedAndTheirErrorsCounted(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.SlowQuery = time.Second }))
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	web := db.Named("web")
	f := gatherOne(t, reg)
	require.Contains(t, f, "onepool_statement_seconds_count{client=web}", "a counter has to be seen at 0")
	require.Contains(t, f, "onepool_client_slow_statements_total{client=web}", "a counter has to be seen at 0")

	_, err := web.Exec(inTime(t), "select pg_sleep(0.02)")
	require.NoError(t, err)
	_, err = web.Exec(inTime(t), "select 1/$1::int", 0)
	require.Error(t, err)
	require.ErrorIs(t, web.QueryRow(inTime(t), "select 1 where false").Scan(new(int)), pgx.ErrNoRows)
	b := &pgx.Batch{}
	b.Queue("select 1")
	b.Queue("select 2")
	require.NoError(t, web.SendBatch(inTime(t), b).Close())

	f = gatherOne(t, reg)
	require.Equal(t, 4, f["onepool_statement_seconds_count{client=web}"], "a batch is one")
	require.GreaterOrEqual(t, time.Duration(f["onepool_statement_seconds_sum{client=web}"]), 20*time.Millisecond)
	require.Equal(t, 1, f["onepool_statement_errors_total{client=web,sqlstate=22012}"])
	for series := range f {
		require.NotContains(t, series, "onepool_statement_errors_total{client=web,sqlstate=other}", "no row is no error")
	}
	require.Zero(t, f["onepool_client_slow_statements_total{client=web}"])
	_, err = web.Exec(inTime(t), "select pg_sleep(1.1)")
	require.NoError(t, err)
	require.Equal(t, 1, gatherOne(t, reg)["onepool_client_slow_statements_total{client=web}"])
}

func TestTheMetricsStayUntilTheEndOfADrain(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var db *fxdb.DB
	a := app(t, &db, registerer(reg))
	require.NoError(t, a.Start(t.Context()))
	require.Zero(t, gatherOne(t, reg)["onepool_draining"])
	conn := acquire(t, db)
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background()) }()
	require.Eventually(t, func() bool { return db.Stats().Draining }, patience, time.Millisecond)
	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_draining"])
	require.Equal(t, 1, f["onepool_connections_active"])
	require.Equal(t, 1, f["onepool_client_connections_held{client=app}"])
	conn.Release()
	require.NoError(t, <-stopped)
	require.Empty(t, gather(t, reg))
}

func TestCloseTakesTheMetricsOut(t *testing.T) {
	t.Parallel()
	db, err := fxdb.Open(inTime(t), fxdb.Config{URL: testkit.Pool(t).Config().ConnString(), PoolMax: 2})
	require.NoError(t, err)
	reg := prometheus.NewRegistry()
	unregister := register(t, reg, db)
	require.NotEmpty(t, gather(t, reg))
	require.NoError(t, db.Close(inTime(t)))
	require.Empty(t, gather(t, reg))
	unregister() // a no-op

	register(t, reg, db)
	require.Empty(t, gather(t, reg), "there is no drain to wait for")
}
