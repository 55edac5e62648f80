package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

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
	defer conn.Release()
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
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "leak"})
	require.NoError(t, err)
	defer conn.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err = lifecycle.Drain(ctx, m, time.Hour)
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "nothing was left for the hooks that follow")
}
