package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// ownServer starts a server with an empty database, and says how the house uses it.
func ownServer(t testing.TB, change func(*fxdb.Config)) (*pgfault.Server, fx.Option) {
	t.Helper()
	server := pgfault.Start(t)
	server.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "create database app owner "+devdb.RoleOwner)
		require.NoError(t, err)
	})
	cfg := fxdb.Config{
		URL: server.DatabaseURL(devdb.RoleApp, "app"), MigrateURL: server.DatabaseURL(devdb.RoleOwner, "app"),
		Migrate: true, PoolMax: 4, ApplicationName: "agency",
	}
	if change != nil {
		change(&cfg)
	}
	return server, fx.Replace(cfg)
}

func small(n int) testkit.Option {
	return testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.NestedAcquire = 1, n, "off" })
}

// Statements of a client run as "agency/client". Of the application the server sees,
// beside probes of its health, no more sessions than the pool opened.
func TestInvariantI1AllFiveClientsShareOnePoolAsTheServerSeesIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server, config := ownServer(t, nil)
	h := newHouse(t, config)
	watched, stop := make(chan error, 1), make(chan struct{})
	most, sessions := 0, make(map[string]bool)
	go func() {
		watched <- func() error {
			conn, err := pgx.Connect(context.Background(), server.URL())
			if err != nil {
				return err
			}
			defer conn.Close(context.Background())
			for {
				rows, err := conn.Query(context.Background(), `
					select pid || ' ' || backend_start from pg_stat_activity
					where datname = 'app' and application_name <> 'agency/health'`)
				if err != nil {
					return err
				}
				seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
				if err != nil {
					return err
				}
				most = max(most, len(seen))
				for _, s := range seen {
					sessions[s] = true
				}
				select {
				case <-stop:
					return nil
				default:
				}
			}
		}()
	}()
	err := play(t.Context(), io.Discard, h.clients, staff(t, 60))
	close(stop)
	require.NoError(t, <-watched)
	require.NoError(t, err)
	require.Positive(t, most)
	require.LessOrEqual(t, most, 4)
	stats := h.db.Stats()
	require.LessOrEqual(t, int64(len(sessions)), stats.Opened, "somebody opened connections of their own")
	used := map[string]uint64{}
	for _, c := range stats.Clients {
		used[c.Name] = c.Acquired
	}
	for name := range roots {
		require.Positive(t, used[name], name)
	}
}

// requireAllBack fails unless everything that was borrowed comes back.
func (h *house) requireAllBack(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, a := h.db.Stats(), h.db.Monitor().Admission().Stats()
		return s.Active == 0 && s.Waiting == 0 && a.Free == a.Capacity
	}, 10*time.Second, time.Millisecond, "%+v", h.db.Stats())
}

// hurt has each client fail in every way there is: by the server's refusal, by a
// context that ends while the statement waits, and by a panic and an error in a
// transaction.
func (h *house) hurt(t testing.TB) {
	t.Helper()
	owner, acme := testkit.OwnerPool(t, h.db), asAcme(t.Context())
	for name, write := range h.writes("hurt") {
		unlock := lockTable(t, owner, roots[name])
		ctx, cancel := context.WithCancel(acme)
		failed := make(chan error, 1)
		go func() { failed <- write(ctx) }()
		waitForLocks(t, owner, 1)
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled, name)
		waitForLocks(t, owner, 0) // the server learns of the end a moment after the caller
		unlock()
		require.NoError(t, write(acme), name)

		client := h.db.Named(name, fxdb.RequireTenant())
		require.PanicsWithValue(t, "dropped", func() {
			_ = client.InTx(acme, pgx.TxOptions{}, func(pgx.Tx) error { panic("dropped") })
		}, name)
		broken := errors.New("broken")
		require.ErrorIs(t, client.InTx(acme, pgx.TxOptions{}, func(pgx.Tx) error { return broken }), broken, name)
		require.Error(t, client.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(acme, "insert into "+roots[name]+" default values")
			return err
		}), name)
	}
}

// lockTable keeps everybody from the table until unlock, or the test's end.
func lockTable(t testing.TB, owner *pgxpool.Pool, table string) (unlock func()) {
	t.Helper()
	lock, err := owner.Begin(t.Context())
	require.NoError(t, err)
	// Before the owner's pool is closed, which waits for what is borrowed.
	unlock = func() { _ = lock.Rollback(context.Background()) }
	t.Cleanup(unlock)
	_, err = lock.Exec(t.Context(), "lock table "+table)
	require.NoError(t, err)
	return unlock
}

// waitForLocks waits until so many wait for a lock.
func waitForLocks(t testing.TB, owner *pgxpool.Pool, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := owner.QueryRow(t.Context(), "select count(*) from pg_locks l join pg_database d on d.oid = l.database where d.datname = current_database() and not l.granted").Scan(&waiting)
		return err == nil && waiting == want
	}, 20*time.Second, 5*time.Millisecond)
}

func TestInvariantI5WhatIsBorrowedComesBackWhateverHappens(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t, small(2)))
	h.hurt(t)
	h.requireAllBack(t)
	// Both connections are there to be had, and each client works.
	ctx := asAcme(t.Context())
	for range 2 {
		conn, err := h.db.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
	}
	require.Equal(t, 2, h.db.Stats().Active)
	waits := len(roots)
	done := make(chan error, waits)
	for _, read := range h.reads() {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			done <- read(ctx)
		}()
	}
	for range waits {
		require.ErrorIs(t, <-done, context.DeadlineExceeded, "a third connection was had")
	}
}

// sessionSQL is all that a session can carry from one borrower to the next.
const sessionSQL = `
select array(select name || '=' || setting || ' by ' || source from pg_settings
             where name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable', 'in_hot_standby')
             order by name),
       array(select s || '=' || v from unnest('{app.current_tenant,app.current_user,app.current_session}'::text[]) s,
             nullif(current_setting(s, true), '') v where v is not null),
       (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'),
       (select count(*) from pg_listening_channels()),
       (select count(*) from pg_class where relpersistence = 't' and pg_table_is_visible(oid))`

func TestInvariantI6AConnectionThatCameBackCarriesNothing(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb's TestNothingOfASessionReachesTheNext")
	h := newHouse(t, testkit.Swap(t, small(3)))
	look := func(conn *pgxpool.Conn) (settings, scope []string) {
		require.Equal(t, byte('I'), conn.Conn().PgConn().TxStatus(), "in a transaction")
		var locks, channels, temporary int
		require.NoError(t, conn.QueryRow(t.Context(), sessionSQL).Scan(&settings, &scope, &locks, &channels, &temporary))
		require.Zero(t, locks)
		require.Zero(t, channels)
		require.Zero(t, temporary)
		return settings, scope
	}
	conn, err := h.db.Acquire(t.Context())
	require.NoError(t, err)
	before, scope := look(conn)
	require.Empty(t, scope)
	conn.Release()

	h.fill(t)
	h.hurt(t)
	h.requireAllBack(t)
	for range 3 {
		conn, err := h.db.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		after, scope := look(conn)
		require.Equal(t, before, after)
		require.Empty(t, scope)
	}
}

// A pool that is used up refuses each client in DB_CONNECTION_TIMEOUT_MS, and a lock
// that is not given does so in DB_LOCK_TIMEOUT_MS.
func TestEveryWaitOfAllFiveClientsIsBounded(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t, small(1), testkit.Config(func(c *fxdb.Config) {
		c.ConnectionTimeout, c.LockTimeout = 150*time.Millisecond, 100*time.Millisecond
	})))
	owner, acme := testkit.OwnerPool(t, h.db), asAcme(t.Context())
	for name, write := range h.writes("late") {
		unlock := lockTable(t, owner, roots[name])
		require.ErrorContains(t, write(acme), "55P03", name)
		unlock()
		h.requireAllBack(t)
	}
	conn, err := h.db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for name, write := range h.writes("late") {
		require.ErrorIs(t, write(acme), fxdb.ErrAcquireTimeout, name)
	}
}

// Three callers of each client write until they are refused.
func TestInvariantI9AStopWithAllFiveClientsAtWorkLeavesNothing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server, config := ownServer(t, func(c *fxdb.Config) { c.DrainTimeout = 2 * time.Second })
	h := newHouse(t, config)
	acme, ended := asAcme(context.Background()), make(chan error, 3*len(roots))
	var working sync.WaitGroup // until each has written once
	for name := range roots {
		for caller := range 3 {
			working.Add(1)
			go func() {
				var err error
				for i := 0; err == nil; i++ {
					err = h.writes(fmt.Sprint(caller, "-", i))[name](acme)
					if i == 0 {
						working.Done()
					}
				}
				ended <- err
			}()
		}
	}
	working.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, h.app.Stop(ctx))
	require.NoError(t, ctx.Err())
	for range cap(ended) {
		require.ErrorIs(t, <-ended, fxdb.ErrDraining)
	}
	require.Zero(t, h.db.Stats().Total)
	server.WaitFor(t, "select count(*) = 0 from pg_stat_activity where datname = 'app'")
	for name, read := range h.reads() {
		require.ErrorIs(t, read(acme), fxdb.ErrDraining, name)
	}
}
