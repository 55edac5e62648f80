package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// overhead is what a drain may take beyond its deadline on a busy machine.
// What it promises on a quiet one is 100 ms; the bound asserted is wide enough
// that only a drain that waits for something fails it.
const overhead = 2 * time.Second

const deadline = 300 * time.Millisecond

// TestDrainIsBounded holds every kind of work against a stop: the drain keeps
// its bound, names the holder, and leaves neither a backend nor a goroutine.
//
// Not parallel: goroutines are counted.
func TestDrainIsBounded(t *testing.T) {
	type world struct {
		*pgfault.Server
		m *lifecycle.Monitor
	}
	acquire := func(t *testing.T, w world) *pgxpool.Conn {
		conn, err := w.m.Acquire(t.Context(), lifecycle.Request{Client: "worker", Tenant: "acme"})
		require.NoError(t, err)
		return conn
	}
	for _, c := range []struct {
		name   string
		frozen bool
		// work starts something that does not end by itself.
		work func(t *testing.T, w world)
	}{
		{name: "a running statement", work: func(t *testing.T, w world) {
			conn := acquire(t, w)
			done := make(chan error, 1)
			go func() {
				defer conn.Release()
				_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
				done <- err
			}()
			w.WaitForQuery(t, "select pg_sleep(60)")
			t.Cleanup(func() { require.Error(t, <-done, "the statement was not cancelled") })
		}},
		{name: "a connection that is never released", work: func(t *testing.T, w world) { acquire(t, w) }},
		{name: "an open transaction", work: func(t *testing.T, w world) {
			tx, err := acquire(t, w).Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "create temp table uncommitted ()")
			require.NoError(t, err)
		}},
		{name: "rows left open", work: func(t *testing.T, w world) {
			rows, err := acquire(t, w).Query(t.Context(), "select generate_series(1, 10000000)")
			require.NoError(t, err)
			require.True(t, rows.Next())
		}},
		{name: "a listener", work: func(t *testing.T, w world) {
			conn := acquire(t, w)
			_, err := conn.Exec(t.Context(), "listen something")
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				defer conn.Release()
				_, err := conn.Conn().WaitForNotification(context.Background())
				done <- err
			}()
			t.Cleanup(func() { require.Error(t, <-done) })
		}},
		{name: "a running statement on a frozen server", frozen: true, work: func(t *testing.T, w world) {
			conn := acquire(t, w)
			done := make(chan error, 1)
			go func() {
				defer conn.Release()
				_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
				done <- err
			}()
			w.WaitForQuery(t, "select pg_sleep(60)")
			t.Cleanup(func() { require.Error(t, <-done) })
		}},
		{name: "a held connection on a frozen server", frozen: true, work: func(t *testing.T, w world) { acquire(t, w) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pgfault.Start(t)
			ignore := goleak.IgnoreCurrent()
			m := newMonitor(t, s.URL(), nil)
			require.NoError(t, m.Start(t.Context()))
			t.Run("drain", func(t *testing.T) {
				c.work(t, world{s, m})
				if c.frozen {
					s.Freeze(t)
				}
				began := time.Now()
				report, err := lifecycle.Drain(t.Context(), m, deadline)
				elapsed := time.Since(began)
				t.Logf("drain took %s beyond its deadline", elapsed-deadline)
				require.GreaterOrEqual(t, elapsed, deadline, "work in flight got no chance")
				require.Less(t, elapsed, deadline+overhead)

				var drainErr *lifecycle.DrainError
				require.ErrorAs(t, err, &drainErr)
				require.Len(t, report.Cut, 1)
				require.Equal(t, "worker", report.Cut[0].Client)
				require.Equal(t, "acme", report.Cut[0].Tenant)
				require.Contains(t, report.Cut[0].Caller, "lifecycle_test.")
				require.ErrorContains(t, err, "worker (tenant acme)")
				require.Equal(t, 1, report.InUse)

				if c.frozen {
					s.Thaw(t)
				}
				s.WaitForNoBackends(t, applicationName)
			})
			goleak.VerifyNone(t, ignore)
		})
	}
}

func TestDrainLetsWorkInFlightFinish(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "worker"})
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "create table kept ()")
	require.NoError(t, err)

	drained := make(chan error, 1)
	go func() {
		_, err := lifecycle.Drain(context.Background(), m, time.Minute)
		drained <- err
	}()
	require.Eventually(t, m.Draining, time.Minute, time.Millisecond)
	_, err = m.Acquire(t.Context(), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrDraining)
	_, err = m.Pool().Acquire(t.Context())
	require.ErrorIs(t, err, lifecycle.ErrDraining)

	require.NoError(t, tx.Commit(t.Context()))
	conn.Release()
	require.NoError(t, <-drained)

	var kept bool
	s.Admin(t, func(c *pgx.Conn) {
		require.NoError(t, c.QueryRow(t.Context(), "select to_regclass('kept') is not null").Scan(&kept))
	})
	require.True(t, kept, "committed work was lost")
	s.WaitForNoBackends(t, applicationName)
}

func TestDrainKeepsWhatWasCommittedAndRollsBackTheRest(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "worker"})
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "create table work (done bool)")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "insert into work values (true)")
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into work values (false)")
	require.NoError(t, err)

	_, err = lifecycle.Drain(t.Context(), m, 10*time.Millisecond)
	require.Error(t, err)
	s.WaitForNoBackends(t, applicationName)
	s.Admin(t, func(c *pgx.Conn) {
		var committed, uncommitted int
		require.NoError(t, c.QueryRow(t.Context(),
			"select count(*) filter (where done), count(*) filter (where not done) from work").Scan(&committed, &uncommitted))
		require.Equal(t, 1, committed)
		require.Zero(t, uncommitted)
	})
}

func TestDrainWakesWaiters(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.MaxConns = 1; c.AcquireTimeout = time.Hour })
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)

	const waiters = 5
	errs := make(chan error, 2*waiters)
	for range waiters {
		go func() { _, err := m.Acquire(context.Background(), lifecycle.Request{Client: "waiter"}); errs <- err }()
		go func() { _, err := m.Pool().Acquire(context.Background()); errs <- err }()
	}
	require.Eventually(t, func() bool { return m.Waiting() == 2*waiters }, time.Minute, time.Millisecond)

	drained := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, time.Minute); drained <- err }()
	for range 2 * waiters {
		require.ErrorIs(t, <-errs, lifecycle.ErrDraining)
	}
	conn.Release()
	require.NoError(t, <-drained)
}

func TestDrainTwiceAndWithoutStart(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	t.Run("a second drain is a no-op", func(t *testing.T) {
		m := newMonitor(t, s.URL(), nil)
		require.NoError(t, m.Start(t.Context()))
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
		require.NoError(t, err)
		first, err := lifecycle.Drain(t.Context(), m, 0)
		require.Error(t, err)
		second, err := lifecycle.Drain(t.Context(), m, time.Hour)
		require.NoError(t, err)
		require.Equal(t, first, second)
		conn.Release() // late, and safe
	})
	t.Run("without a start", func(t *testing.T) {
		m := newMonitor(t, s.URL(), nil)
		_, err := lifecycle.Drain(t.Context(), m, time.Hour)
		require.NoError(t, err)
		require.ErrorIs(t, m.Start(t.Context()), lifecycle.ErrDraining)
	})
}

func TestDrainLeavesAShareOfItsContextsTime(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	_, err := m.Acquire(t.Context(), lifecycle.Request{Client: "leak"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err = lifecycle.Drain(ctx, m, time.Hour)
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "nothing was left for the hooks that follow")
}
