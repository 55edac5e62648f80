package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAnOldConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, c := range []struct {
		name string
		use  func(t *testing.T, m *lifecycle.Monitor)
	}{
		{"when it is asked for", func(t *testing.T, m *lifecycle.Monitor) { acquireAll(t, m, 2) }},
		{"while it is idle", func(*testing.T, *lifecycle.Monitor) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, db := startPool(t, func(c *lifecycle.Config) {
				c.Pool.MaxConnLifetime = 300 * time.Millisecond
			})
			first := acquireAll(t, m, 2)
			eventually(t, func() bool { c.use(t, m); return m.Retired() >= 2 })
			db.WaitFor(t, "select count(*) = 0 from pg_stat_activity where pid = any($1)", pids(first))
			eventually(t, func() bool { return m.Pool().Stat().TotalConns() >= 1 })
		})
	}
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConnLifetime = 0 })
		acquireAll(t, m, 2)
		require.Zero(t, m.Retired())
	})
}

// lowest samples a pool's connections until it has replaced so many, and returns the
// fewest that there were at once.
func lowest(t *testing.T, total func() int32, replaced func() bool) int32 {
	t.Helper()
	least := total()
	require.Eventually(t, func() bool { least = min(least, total()); return replaced() }, time.Minute, time.Millisecond)
	return least
}

func TestTheMinimumIsKeptWhileConnectionsRetire(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	for _, c := range []struct {
		name     string
		min, max int32
		least    int32
		way      func(*lifecycle.Config)
	}{
		{"all at one age", 3, 10, 3, func(c *lifecycle.Config) {}},
		{"one after the other", 3, 10, 3, func(c *lifecycle.Config) { c.Pool.MaxConnLifetimeJitter = 2 * time.Second }},
		{"while they are used", 3, 10, 3, func(c *lifecycle.Config) { c.Pool.MaxConnLifetimeJitter = 2 * time.Second }},
		{"a single one", 1, 2, 1, func(c *lifecycle.Config) {}},
		{"a pool that is all minimum", 3, 3, 2, func(c *lifecycle.Config) { c.Pool.MaxConnLifetimeJitter = 2 * time.Second }},
		{"all minimum at one age", 3, 3, 2, func(c *lifecycle.Config) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMonitor(t, s.URL(), func(cfg *lifecycle.Config) {
				cfg.Pool.MinConns, cfg.Pool.MaxConns = c.min, c.max
				cfg.Pool.MaxConnLifetime = time.Second
				c.way(cfg)
			})
			require.NoError(t, m.Start(t.Context()))
			if c.name == "while they are used" {
				ctx, cancel := context.WithCancel(t.Context())
				var used sync.WaitGroup
				defer func() { cancel(); used.Wait() }()
				used.Go(func() {
					for ctx.Err() == nil {
						if conn, err := m.Acquire(ctx, lifecycle.Request{Client: "user"}); err == nil {
							_, _ = conn.Exec(ctx, "select 1")
							conn.Release()
						}
					}
				})
			}
			least := lowest(t, func() int32 { return m.Pool().Stat().TotalConns() }, func() bool { return m.Retired() >= 2*int64(c.min) })
			t.Logf("%d of %d at the least", least, c.min)
			require.GreaterOrEqual(t, least, c.least)
		})
	}
	t.Run("pgxpool beside", func(t *testing.T) {
		t.Parallel()
		pc, err := pgxpool.ParseConfig(s.URL())
		require.NoError(t, err)
		pc.MinConns, pc.MaxConns, pc.MaxConnLifetime, pc.HealthCheckPeriod = 3, 10, time.Second, 100*time.Millisecond
		pool, err := pgxpool.NewWithConfig(t.Context(), pc)
		require.NoError(t, err)
		defer pool.Close()
		require.Eventually(t, func() bool { return pool.Stat().TotalConns() == 3 }, time.Minute, time.Millisecond)
		least := lowest(t, func() int32 { return pool.Stat().TotalConns() }, func() bool { return pool.Stat().MaxLifetimeDestroyCount() >= 6 })
		t.Logf("%d of 3 at the least", least)
	})
}

func TestTheMinimumComesBackAfterALoss(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestTheMinimumIsOpenedAtOnce")
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.MinConns = 3 })
	require.NoError(t, m.Start(t.Context()))
	before := acquireAll(t, m, 3)
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "select pg_terminate_backend(pid) from unnest($1::int[]) pid", pids(before))
		require.NoError(t, err)
	})
	require.Eventually(t, func() bool { // each use ends one, and reports the end
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "user"})
		require.NoError(t, err)
		defer conn.Release()
		_, err = conn.Exec(t.Context(), "select 1")
		return err == nil
	}, time.Minute, time.Millisecond)
	began := time.Now()
	s.WaitFor(t, "select count(*) = 3 from pg_stat_activity where application_name = $1 and pid <> all($2)", applicationName, pids(before))
	t.Logf("the minimum is there after %s", time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), 30*time.Second, "pgxpool's own check comes once a minute")
}
