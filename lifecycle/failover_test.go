package lifecycle_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAcquireOutlastsAServerThatIsAway(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	late.open(t, s)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Pool.MinConns, c.Pool.MaxConns = 0, 2
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
		c.AcquireTimeout = time.Minute
	})
	require.NoError(t, m.Start(t.Context()))
	require.Eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 }, time.Minute, time.Millisecond)
	late.close(t)

	acquired := make(chan error, 1)
	go func() {
		conn, err := m.Acquire(context.Background(), lifecycle.Request{Client: "patient"})
		if err == nil {
			conn.Release()
		}
		acquired <- err
	}()
	require.Eventually(t, func() bool { return late.refused.Load() >= 2 }, time.Minute, time.Millisecond, "it was not tried again")
	select {
	case err := <-acquired:
		t.Fatalf("acquire did not wait: %v", err)
	default:
	}
	late.open(t, s)
	require.NoError(t, <-acquired)
}

func TestAcquireSaysWhyNoConnectionCouldBeOpened(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	late.open(t, s)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Pool.MinConns, c.Pool.MaxConns = 0, 2
		c.AcquireTimeout = 100 * time.Millisecond
	})
	require.NoError(t, m.Start(t.Context()))
	held, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)
	defer held.Release()
	late.close(t)
	_, err = m.Acquire(t.Context(), lifecycle.Request{Client: "victim"})
	var acquireErr *lifecycle.AcquireError
	require.ErrorAs(t, err, &acquireErr)
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	var connectErr *pgconn.ConnectError
	require.ErrorAs(t, err, &connectErr)
	require.ErrorContains(t, err, "can't be reached")
	require.NotContains(t, err.Error(), "DB_POOL_MAX", "a larger pool does not help")
}

func TestAcquireSaysThatConnectionsAreStillBeingOpened(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	late.open(t, s)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Pool.MinConns, c.Pool.MaxConns = 0, 2
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
		c.AcquireTimeout = 100 * time.Millisecond
	})
	require.NoError(t, m.Start(t.Context()))
	require.Eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 }, time.Minute, time.Millisecond)
	late.close(t)
	silent, err := net.Listen("unix", late.path) // takes connections, says nothing
	require.NoError(t, err)
	defer silent.Close()

	_, err = m.Acquire(t.Context(), lifecycle.Request{Client: "victim"})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	require.Regexp(t, "1 are still being opened|can't be reached", err.Error(), "the second where a probe was quicker")
	require.NotContains(t, err.Error(), "DB_POOL_MAX", "a larger pool does not help")
}

// acquireAll takes every connection at once and gives the backends' pids.
func acquireAll(t *testing.T, m *lifecycle.Monitor, n int) []uint32 {
	t.Helper()
	var pids []uint32
	for range n {
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "all"})
		require.NoError(t, err)
		defer conn.Release()
		pids = append(pids, conn.Conn().PgConn().PID())
	}
	return pids
}

func TestOneEndedBackendLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
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
				m.LookAfterLoss(t.Context())
				require.Len(t, intersect(before, acquireAll(t, m, 5)), c.kept)
				require.Zero(t, logs.FilterMessageSnippet("pool reset").Len())
			})
		}
	}
}

func TestAServerThatGoesAwayResetsThePoolOnce(t *testing.T) {
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
			acquireAll(t, m, 5)
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
			require.Eventually(t, func() bool { return logs.FilterMessageSnippet("pool reset").Len() > 0 }, time.Minute, time.Millisecond)
			fresh := acquireAll(t, m, 5)
			m.LookAfterLoss(t.Context())
			require.Len(t, intersect(fresh, acquireAll(t, m, 5)), 5, "the same incident reset the pool again")
			require.Equal(t, 1, logs.FilterMessageSnippet("pool reset").Len())
		})
	}
}

func TestABackendThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	before := acquireAll(t, m, 5)
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "select pg_terminate_backend(pid) from unnest($1::int[]) pid", pids(before))
		require.NoError(t, err)
	})
	s.WaitFor(t, "select count(*) = 0 from pg_stat_activity where pid = any($1)", pids(before))
	require.Eventually(t, func() bool {
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "user"})
		require.NoError(t, err)
		defer conn.Release()
		_, err = conn.Exec(t.Context(), "select 1")
		return err == nil
	}, time.Minute, time.Millisecond)
	require.LessOrEqual(t, m.Pool().Stat().TotalConns(), int32(5))
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
