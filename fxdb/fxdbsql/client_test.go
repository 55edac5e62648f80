package fxdbsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// patience bounds every wait; a test fails by it only when something hangs.
const (
	patience = time.Minute
	tick     = 2 * time.Millisecond
)

func clientStats(t testing.TB, db *fxdb.DB, name string) fxdb.ClientStats {
	t.Helper()
	for _, c := range db.Stats().Clients {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no client %q", name)
	return fxdb.ClientStats{}
}

// events remembers the events of one client.
type events struct {
	mu                 sync.Mutex
	acquired, released int
}

func (e *events) Acquired(client string, _ time.Duration, err error) {
	if client == "orders" && err == nil {
		e.mu.Lock()
		e.acquired++
		e.mu.Unlock()
	}
}

func (e *events) Released(client string, _ time.Duration) {
	if client == "orders" {
		e.mu.Lock()
		e.released++
		e.mu.Unlock()
	}
}

func (e *events) Connected(string, time.Duration, error) {}

func TestConnectionsAreTheClients(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, _ := open(t, testkit.Config(func(c *fxdb.Config) { c.ApplicationName = "shop" }))
	db := over(t, pool.Named("orders"))
	var seen events
	defer pool.Monitor().Observe(&seen)()
	ctx := as(t, "acme")

	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec("select 'in the transaction'")
	require.NoError(t, err)
	rows, err := db.QueryContext(ctx, "select generate_series(1, 20000), repeat('x', 1000)")
	require.NoError(t, err)
	require.True(t, rows.Next())
	session, err := db.Conn(ctx)
	require.NoError(t, err)
	require.Equal(t, "acme", tenantOf(t, session, ctx))

	stats := pool.Stats()
	require.Equal(t, 3, stats.Active)
	own := clientStats(t, pool, "orders")
	require.Equal(t, 3, own.Held)
	require.EqualValues(t, 3, own.Acquired)
	require.Equal(t, 3, db.Stats().InUse)

	pids := map[int]bool{}
	for _, h := range pool.Monitor().Holders() {
		require.Equal(t, "orders", h.Client)
		require.Equal(t, "acme", h.Tenant)
		require.Contains(t, h.Caller, "fxdbsql_test.")
		require.Contains(t, h.Caller, "_test.go")
		pids[int(h.PID)] = true
	}
	require.Len(t, pids, 3)
	held := make([]int, 0, 3)
	for pid := range pids {
		held = append(held, pid)
	}
	// What they do now shows as the client's on the server too.
	var backends, named int
	require.NoError(t, testkit.OwnerPool(t, pool).QueryRow(t.Context(), `select count(*), count(*) filter (where application_name = 'shop/orders')
		from pg_stat_activity where datname = current_database() and pid = any($1)`, held).Scan(&backends, &named))
	require.Equal(t, 3, backends)
	require.Equal(t, 2, named, "the transaction and the rows: the session does nothing")

	require.NoError(t, rows.Close())
	require.NoError(t, tx.Commit())
	require.NoError(t, session.Close())
	require.Zero(t, pool.Stats().Active)
	require.Zero(t, db.Stats().OpenConnections)
	require.Zero(t, clientStats(t, pool, "orders").Held)
	seen.mu.Lock()
	defer seen.mu.Unlock()
	require.Equal(t, 3, seen.acquired)
	require.Equal(t, 3, seen.released)
}

func TestAFullPoolSaysWhoHoldsIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, _ := open(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.ConnectionTimeout = 1, 1, time.Second }))
	db := over(t, pool.Named("orders"))
	holder, err := over(t, pool.Named("hoarder")).BeginTx(as(t, "acme"), nil)
	require.NoError(t, err)
	defer holder.Rollback()

	var wg sync.WaitGroup
	for name, use := range map[string]func() error{
		"exec":  func() error { _, err := db.ExecContext(t.Context(), "select 1"); return err },
		"query": func() error { _, err := db.QueryContext(as(t, "acme"), "select 1"); return err },
		"row":   func() error { return db.QueryRow("select 1").Scan(new(int)) },
		"begin": func() error { _, err := db.Begin(); return err },
		"ping":  db.Ping,
	} {
		wg.Go(func() { // this goroutine's own transaction is another matter
			err := use()
			var full *fxdb.AcquireError
			if !errors.As(err, &full) || !errors.Is(err, fxdb.ErrAcquireTimeout) || full.Client != "orders" ||
				len(full.Holders) != 1 || full.Holders[0].Client != "hoarder" {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 0, clientStats(t, pool, "orders").Acquired)
}

func TestAClientsShareBindsItHereToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, others := open(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax, c.ConnectionTimeout = 4, time.Hour }))
	db := over(t, pool.Named("orders", fxdb.MaxConns(1)))
	tx, err := db.Begin()
	require.NoError(t, err)
	ctx, giveUp := context.WithTimeout(t.Context(), patience)
	defer giveUp()
	waits := make(chan error, 1)
	go func() { waits <- db.PingContext(ctx) }()
	require.Eventually(t, func() bool { return clientStats(t, pool, "orders").Waiting == 1 }, patience, tick)
	require.NoError(t, others.Ping(), "the pool has connections left")
	giveUp()
	require.ErrorIs(t, <-waits, context.Canceled)
	require.NoError(t, tx.Commit())
	require.NoError(t, db.Ping())
}

func TestANestedAcquireIsFound(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t, testkit.Config(func(c *fxdb.Config) { c.NestedAcquire = "strict" }))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	require.ErrorIs(t, db.QueryRow("select 1").Scan(new(int)), fxdb.ErrNestedAcquire)
	require.NoError(t, tx.QueryRow("select 1").Scan(new(int)))
}

func TestAStoppedPoolIsNamed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	kept, _ := open(t)
	pool, err := fxdb.Open(t.Context(), fxdb.Config{URL: kept.Pool().Config().ConnString(), PoolMax: 2})
	require.NoError(t, err)
	db := over(t, pool)
	require.NoError(t, db.Ping())
	require.NoError(t, pool.Close(t.Context()))
	require.ErrorIs(t, db.Ping(), fxdb.ErrDraining)
	_, err = db.Query("select 1")
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = db.Exec("select 1")
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = db.Begin()
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = db.Conn(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining)
}

// A cancelled context is no bad connection: database/sql would hide it.
func TestACancelledContextIsSaid(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, db := open(t)
	ctx, cancel := context.WithCancel(as(t, "acme"))
	rows, err := db.QueryContext(ctx, "select generate_series(1, 1000000)")
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	cancel()
	for rows.Next() {
	}
	require.ErrorIs(t, rows.Err(), context.Canceled)
	_, err = db.ExecContext(ctx, "select 1")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, driver.ErrBadConn)
	require.Eventually(t, func() bool { return pool.Stats().Active == 0 }, patience, tick, "the transaction was not rolled back")
	require.ErrorIs(t, tx.Commit(), sql.ErrTxDone)
}

func TestNobodyOpensAnotherPoolThroughTheDriver(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	_, err := db.Driver().Open("postgres://localhost/postgres")
	require.ErrorContains(t, err, "fxdbsql.Open")
	session, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer session.Close()
	require.NoError(t, session.Raw(func(own any) error {
		_, err := own.(driver.Conn).Begin() //nolint:staticcheck // a driver's user may
		require.NoError(t, err)
		prepared, err := own.(driver.Conn).Prepare("select 1")
		require.NoError(t, err)
		_, err = prepared.Exec(nil) //nolint:staticcheck // the same
		require.ErrorContains(t, err, "without a context")
		_, err = prepared.Query(nil) //nolint:staticcheck // the same
		require.ErrorContains(t, err, "without a context")
		return nil
	}))
}
