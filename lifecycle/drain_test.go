package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestDrainLetsWorkInFlightFinish(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, db := startPool(t, nil)
	conn := acquire(t, m, "worker")
	tx, err := conn.Begin(bounded(t))
	require.NoError(t, err)
	_, err = tx.Exec(bounded(t), "create table kept ()")
	require.NoError(t, err)

	drained := beginDrain(t, m)
	_, err = m.Acquire(bounded(t), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrDraining)
	_, err = m.Pool().Acquire(bounded(t))
	require.ErrorIs(t, err, lifecycle.ErrDraining)

	require.NoError(t, tx.Commit(bounded(t)))
	conn.Release()
	require.NoError(t, receive(t, drained))

	var kept bool
	require.NoError(t, db.Admin(t).QueryRow(bounded(t), "select to_regclass('kept') is not null").Scan(&kept))
	require.True(t, kept, "committed work was lost")
	db.WaitForBackends(t, 0)
}

func TestDrainKeepsWhatWasCommittedAndRollsBackTheRest(t *testing.T) {
	t.Parallel()
	m, db := startPool(t, nil)
	conn := acquire(t, m, "worker")
	defer conn.Release()
	_, err := conn.Exec(bounded(t), "create table work (done bool)")
	require.NoError(t, err)
	_, err = conn.Exec(bounded(t), "insert into work values (true)")
	require.NoError(t, err)
	tx, err := conn.Begin(bounded(t))
	require.NoError(t, err)
	_, err = tx.Exec(bounded(t), "insert into work values (false)")
	require.NoError(t, err)

	_, err = lifecycle.Drain(bounded(t), m, 10*time.Millisecond)
	require.Error(t, err)
	db.WaitForBackends(t, 0)
	var committed, uncommitted int
	require.NoError(t, db.Admin(t).QueryRow(bounded(t),
		"select count(*) filter (where done), count(*) filter (where not done) from work").Scan(&committed, &uncommitted))
	require.Equal(t, 1, committed)
	require.Zero(t, uncommitted)
}

func TestDrainWakesWaiters(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 1; c.AcquireTimeout = time.Hour })
	conn := acquire(t, m, "holder")

	const waiters = 5
	errs := make(chan error, 2*waiters)
	for range waiters {
		go func() { _, err := m.Acquire(context.Background(), lifecycle.Request{Client: "waiter"}); errs <- err }()
		go func() { _, err := m.Pool().Acquire(context.Background()); errs <- err }()
	}
	eventually(t, func() bool { return m.Waiting() == 2*waiters })

	drained := beginDrain(t, m)
	for range 2 * waiters {
		require.ErrorIs(t, receive(t, errs), lifecycle.ErrDraining)
	}
	conn.Release()
	require.NoError(t, receive(t, drained))
}

func TestDrainTwiceAndWithoutStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	t.Run("a second drain is a no-op", func(t *testing.T) {
		m, _ := startPool(t, nil)
		conn := acquire(t, m, "holder")
		first, err := lifecycle.Drain(bounded(t), m, 0)
		require.Error(t, err)
		second, err := lifecycle.Drain(bounded(t), m, time.Hour)
		require.NoError(t, err)
		require.Equal(t, first, second)
		conn.Release() // late, and safe
	})
	t.Run("without a start", func(t *testing.T) {
		m := newMonitor(t, sharedServer(t).URL(), nil)
		_, err := lifecycle.Drain(bounded(t), m, time.Hour)
		require.NoError(t, err)
		require.ErrorIs(t, m.Start(bounded(t)), lifecycle.ErrDraining)
	})
}

func TestDrainLeavesAShareOfItsContextsTime(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	ctx := bounded(t)
	deadline, _ := ctx.Deadline()
	before := time.Until(deadline)
	_, err := lifecycle.Drain(ctx, m, time.Hour)
	require.NoError(t, err)
	after := time.Until(deadline)
	// What the drain says is what the drain waits for: TestDrainIsBounded.
	timeout := logs.FilterMessage("pool draining").All()[0].ContextMap()["timeout"]
	require.LessOrEqual(t, timeout, before*3/4, "nothing is left for the hooks that follow")
	require.GreaterOrEqual(t, timeout, after*3/4)
}
