package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// startVia starts a pool without a minimum that reaches its server through an address
// that can be closed.
func startVia(t *testing.T, late *lateServer, change func(*lifecycle.Config)) *lifecycle.Monitor {
	db := newDatabase(t)
	late.open(t, db)
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Pool.MinConns, c.Pool.MaxConns = 0, 2
		c.AcquireTimeout = hang
		if change != nil {
			change(c)
		}
	})
	require.NoError(t, m.Start(bounded(t)))
	return m
}

// startEmpty starts a pool that soon has no connection.
func startEmpty(t *testing.T, late *lateServer) *lifecycle.Monitor {
	m := startVia(t, late, func(c *lifecycle.Config) {
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
	})
	eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 })
	return m
}

func TestAcquireOutlastsAServerThatIsAway(t *testing.T) {
	t.Parallel()
	late := newLateServer(t)
	m := startEmpty(t, late)
	late.close(t)

	acquired := make(chan error, 1)
	go func() {
		conn, err := m.Acquire(context.Background(), lifecycle.Request{Client: "patient"})
		if err == nil {
			conn.Release()
		}
		acquired <- err
	}()
	eventually(t, func() bool { return late.refused.Load() >= 2 }, "it was not tried again")
	select {
	case err := <-acquired:
		t.Fatalf("acquire did not wait: %v", err)
	default:
	}
	late.open(t, late.db)
	require.NoError(t, receive(t, acquired))
}

func TestAcquireSaysWhyNoConnectionCouldBeOpened(t *testing.T) {
	t.Parallel()
	late := newLateServer(t)
	m := startVia(t, late, nil)
	defer acquire(t, m, "holder").Release()
	late.close(t)

	var err error
	var connectErr *pgconn.ConnectError
	// An attempt takes the time that the machine takes for it.
	for timeout := 50 * time.Millisecond; !errors.As(err, &connectErr); timeout *= 2 {
		require.Less(t, timeout, hang, "last: %v", err)
		_, err = m.Acquire(bounded(t), lifecycle.Request{Client: "victim", Timeout: timeout})
	}
	var acquireErr *lifecycle.AcquireError
	require.ErrorAs(t, err, &acquireErr)
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	require.ErrorContains(t, err, "can't be reached")
	require.NotContains(t, err.Error(), "DB_POOL_MAX", "a larger pool does not help")
}

func TestAcquireSaysThatConnectionsAreStillBeingOpened(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startEmpty(t, late)
	late.silence(t)
	_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "victim", Timeout: 100 * time.Millisecond})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	require.Regexp(t, "1 are still being opened|can't be reached", err.Error(), "the second where a probe was quicker")
	require.NotContains(t, err.Error(), "DB_POOL_MAX", "a larger pool does not help")
}

// acquireAll takes every connection at once and gives the backends' pids.
func acquireAll(t *testing.T, m *lifecycle.Monitor, n int) []uint32 {
	t.Helper()
	var pids []uint32
	for range n {
		conn := acquire(t, m, "all")
		defer conn.Release()
		pids = append(pids, conn.Conn().PgConn().PID())
	}
	return pids
}

func TestAFailoverResetsThePool(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  string
		reset bool
	}{
		{"57P01", true}, {"57P02", true}, {"57P03", true}, {"22012", false},
		{"25006", false}, // this server is no standby
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			if c.code != "57P01" && c.code != "25006" {
				size.SkipShort(t)
			}
			m, db := startPool(t, nil)
			before := acquireAll(t, m, 3)

			conn := acquire(t, m, "victim")
			_, err := conn.Exec(bounded(t), fmt.Sprintf("do $$ begin raise sqlstate '%s'; end $$", c.code))
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr)
			require.Equal(t, c.code, pgErr.Code)
			conn.Release()
			if !c.reset {
				require.ElementsMatch(t, before, acquireAll(t, m, 3))
				return
			}
			db.WaitFor(t, "select count(*) = 0 from pg_stat_activity where pid = any($1)", pids(before))
			after := acquireAll(t, m, 3)
			for _, pid := range before {
				require.NotContains(t, after, pid)
			}
		})
	}
}

func TestConnectionsOfOneIncidentResetThePoolOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 3 })
	acquireAll(t, m, 3) // so that none is being opened while the pool is reset
	one, two := acquire(t, m, "one"), acquire(t, m, "two")
	const raise = "do $$ begin raise sqlstate '57P01'; end $$"
	_, err := one.Exec(bounded(t), raise)
	require.Error(t, err)
	one.Release()
	fresh := acquireAll(t, m, 2) // opened after the reset
	_, err = two.Exec(bounded(t), raise)
	require.Error(t, err)
	two.Release()
	require.ElementsMatch(t, fresh, intersect(fresh, acquireAll(t, m, 3)), "the same incident reset the pool again")
}

func TestABackendThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, db := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 3 })
	before := acquireAll(t, m, 3)
	_, err := db.Admin(t).Exec(bounded(t), "select pg_terminate_backend(pid) from unnest($1::int[]) pid", pids(before))
	require.NoError(t, err)
	db.WaitFor(t, "select count(*) = 0 from pg_stat_activity where pid = any($1)", pids(before))
	eventually(t, func() bool { return use(t, m, "select 1") == nil })
	require.LessOrEqual(t, m.Pool().Stat().TotalConns(), int32(3))
}

func pids(in []uint32) []int32 {
	out := make([]int32, len(in))
	for i, p := range in {
		out[i] = int32(p)
	}
	return out
}

func intersect(a, b []uint32) (both []uint32) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				both = append(both, x)
			}
		}
	}
	return both
}
