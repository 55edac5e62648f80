package lifecycle_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestAHijackedConnectionThatIsClosedIsForgotten hijacks more than the pool has
// places: each gives its own back, and the permit it took.
func TestAHijackedConnectionThatIsClosedIsForgotten(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) {
		var err error
		c.Pool.MaxConns = 2
		c.Admission, err = admission.New(admission.Config{Capacity: 2})
		require.NoError(t, err)
	})
	for range 4 {
		conn, err := m.Pool().Acquire(bounded(t))
		require.NoError(t, err)
		require.NoError(t, conn.Hijack().Close(bounded(t)))
	}
	require.Empty(t, m.Holders())
}

func TestAHijackedConnectionIsForgottenWhereNobodyLooksForLeaks(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestAHijackedConnectionThatIsClosedIsForgotten")
	var a *admission.Controller
	m, _ := startPool(t, func(c *lifecycle.Config) {
		var err error
		c.Pool.MaxConns, c.LeakThreshold = 3, -1
		a, err = admission.New(admission.Config{Capacity: 3})
		require.NoError(t, err)
		c.Admission = a
	})
	conn, err := m.Pool().Acquire(bounded(t))
	require.NoError(t, err)
	require.NoError(t, conn.Hijack().Close(bounded(t)))
	eventually(t, func() bool { return a.Stats().Free == 3 }, "its permit is lost")
}

// TestABrokenConnectionStaysItsHoldersWhileOthersComeAndGo looks while the pool's count
// and the holders change.
func TestABrokenConnectionStaysItsHoldersWhileOthersComeAndGo(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestAConnectionThatBrokeIsStillItsHolders")
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 20 })
	conn := acquire(t, m, "broken")
	defer conn.Release()
	_, err := conn.Exec(bounded(t), "select pg_terminate_backend(pg_backend_pid())")
	require.Error(t, err)
	eventually(t, func() bool { return channelClosed(conn.Conn().PgConn().CleanupDone()) })
	ctx, stop := context.WithCancel(bounded(t))
	var others sync.WaitGroup
	for range 19 {
		others.Go(func() {
			for ctx.Err() == nil {
				if c, err := m.Acquire(ctx, lifecycle.Request{Client: "other"}); err == nil {
					c.Release()
				}
			}
		})
	}
	found := true
	for n := 0; n < 3000 && found; n++ {
		found = slices.ContainsFunc(m.Holders(), func(h lifecycle.Holder) bool { return h.Client == "broken" })
	}
	stop()
	others.Wait()
	require.True(t, found, "it was taken for one that was hijacked")
}

func TestAConnectionThatBrokeIsStillItsHolders(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, nil)
	conn := acquire(t, m, "holder")
	defer conn.Release()
	_, err := conn.Exec(bounded(t), "select pg_terminate_backend(pg_backend_pid())")
	require.Error(t, err)
	require.True(t, conn.Conn().IsClosed())
	eventually(t, func() bool { return channelClosed(conn.Conn().PgConn().CleanupDone()) })
	require.Len(t, m.Holders(), 1)
}

func channelClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDrainAndHijackedConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	hijack := func(t *testing.T) (*lifecycle.Monitor, *pgx.Conn) {
		m := newMonitor(t, db.URL(), nil)
		require.NoError(t, m.Start(bounded(t)))
		conn, err := m.Pool().Acquire(bounded(t))
		require.NoError(t, err)
		return m, conn.Hijack()
	}
	t.Run("one that was closed is not waited for", func(t *testing.T) {
		m, conn := hijack(t)
		require.NoError(t, conn.Close(bounded(t)))
		require.NoError(t, receive(t, beginDrain(t, m)))
	})
	t.Run("one that is closed in time", func(t *testing.T) {
		m, conn := hijack(t)
		drained := beginDrain(t, m)
		require.NoError(t, conn.Ping(bounded(t)))
		require.NoError(t, conn.Close(bounded(t)))
		require.NoError(t, receive(t, drained))
	})
	t.Run("one that stays open is cut off", func(t *testing.T) {
		m, conn := hijack(t)
		report, err := lifecycle.Drain(bounded(t), m, 10*time.Millisecond)
		var drainErr *lifecycle.DrainError
		require.ErrorAs(t, err, &drainErr)
		require.Len(t, report.Cut, 1)
		require.Equal(t, "raw pool", report.Cut[0].Client)
		require.Error(t, conn.Ping(bounded(t)))
	})
}
