package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/pgfault"
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
	size.SkipShort(t)
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
	size.SkipShort(t)
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
	require.NotContains(t, err.Error(), "MaxConns", "a larger pool does not help")
}

func TestAcquireSaysThatConnectionsAreStillBeingOpened(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startEmpty(t, late)
	late.silence(t)
	_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "victim", Timeout: 100 * time.Millisecond})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	require.Regexp(t, "the pool still opens 1 connections|can't be reached", err.Error(), "the second where a probe was quicker")
	require.NotContains(t, err.Error(), "MaxConns", "a larger pool does not help")
}

func TestAcquireNeverAdvisesALargerPoolIfNobodyHoldsAConnection(t *testing.T) {
	t.Parallel()
	err := &lifecycle.AcquireError{Client: "victim", Err: lifecycle.ErrAcquireTimeout, Max: 10, Total: 1, Idle: 1, Waiting: 1}
	require.ErrorContains(t, err, "no caller holds a connection")
	require.NotContains(t, err.Error(), "MaxConns")
	err.Idle, err.Active = 0, 1
	require.ErrorContains(t, err, "raise MaxConns")
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

func TestOneEndedBackendLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	terminate := func(t *testing.T, conn *pgxpool.Conn) error {
		s.Admin(t, func(c *pgx.Conn) {
			_, err := c.Exec(t.Context(), "select pg_terminate_backend($1, 60000)", int32(conn.Conn().PgConn().PID()))
			require.NoError(t, err)
		})
		_, err := conn.Exec(t.Context(), "select 1")
		return err
	}
	raise := func(code string) func(t *testing.T, conn *pgxpool.Conn) error {
		return func(t *testing.T, conn *pgxpool.Conn) error {
			_, err := conn.Exec(t.Context(), fmt.Sprintf("do $$ begin raise sqlstate '%s'; end $$", code))
			return err
		}
	}
	for name, c := range map[string]struct {
		code string
		end  func(t *testing.T, conn *pgxpool.Conn) error
		kept int
	}{
		"an administrator's terminate":      {"57P01", terminate, 4},
		"a function that raises 57P01":      {"57P01", raise("57P01"), 5},
		"a function that raises 57P02":      {"57P02", raise("57P02"), 5},
		"a function that raises 57P03":      {"57P03", raise("57P03"), 5},
		"an error":                          {"22012", raise("22012"), 5},
		"a write that its transaction bars": {"25006", raise("25006"), 5},
	} {
		for way, url := range map[string]string{"by the socket": s.URL(), "by TCP": s.Proxy(t).DatabaseURL("postgres", "postgres")} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				core, logs := observer.New(zap.WarnLevel)
				m := newMonitor(t, url, func(c *lifecycle.Config) { c.Logger = zap.New(core) })
				require.NoError(t, m.Start(t.Context()))
				before := acquireAll(t, m, 5)

				conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "victim"})
				require.NoError(t, err)
				err = c.end(t, conn)
				var pgErr *pgconn.PgError
				require.ErrorAs(t, err, &pgErr)
				require.Equal(t, c.code, pgErr.Code)
				conn.Release()
				m.ProbeAfterLoss(t.Context())
				require.Len(t, intersect(before, acquireAll(t, m, 5)), c.kept)
				require.Zero(t, logs.FilterMessageSnippet("pool reset").Len())
			})
		}
	}
}

func TestAServerThatGoesAwayResetsThePoolOnceAtMost(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*pgfault.Restartable, *testing.T){
		"fast restart":      func(s *pgfault.Restartable, t *testing.T) { s.Restart(t, "fast", 0) },
		"immediate restart": func(s *pgfault.Restartable, t *testing.T) { s.Restart(t, "immediate", 0) },
		"crash":             func(s *pgfault.Restartable, t *testing.T) { s.KillBackend(t, applicationName) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgfault.StartRestartable(t)
			core, logs := observer.New(zap.WarnLevel)
			m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
				c.Logger = zap.New(core)
				c.AcquireTimeout = time.Minute
			})
			require.NoError(t, m.Start(t.Context()))
			before := acquireAll(t, m, 5)
			var held []*pgxpool.Conn
			for range 3 {
				conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
				require.NoError(t, err)
				held = append(held, conn)
			}
			end(s, t)
			for _, conn := range held {
				require.Eventually(t, func() bool { _, err := conn.Exec(t.Context(), "select 1"); return err != nil }, time.Minute, time.Millisecond)
				conn.Release()
			}
			// A probe may meet the new server before the look after the loss does: then the
			// pool asks each connection whether it lives, instead of a reset.
			fresh := acquireAll(t, m, 5)
			require.Empty(t, intersect(before, fresh))
			m.ProbeAfterLoss(t.Context())
			t.Logf("%d of 5 connections stayed after another look", len(intersect(fresh, acquireAll(t, m, 5))))
			require.LessOrEqual(t, logs.FilterMessageSnippet("pool reset").Len(), 1)
		})
	}
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
