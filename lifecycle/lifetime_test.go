package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAnOldConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	for _, c := range []struct {
		name string
		use  func(t *testing.T, m *lifecycle.Monitor)
	}{
		{"when it is asked for", func(t *testing.T, m *lifecycle.Monitor) { acquireAll(t, m, 5) }},
		{"while it is idle", func(*testing.T, *lifecycle.Monitor) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
				c.Pool.MaxConnLifetime = 100 * time.Millisecond
				c.Pool.HealthCheckPeriod = 10 * time.Millisecond // refills the minimum
			})
			require.NoError(t, m.Start(t.Context()))
			first := acquireAll(t, m, 5)
			require.Eventually(t, func() bool { c.use(t, m); return m.Retired() >= 5 }, time.Minute, 10*time.Millisecond)
			s.WaitFor(t, "select count(*) = 0 from pg_stat_activity where pid = any($1)", pids(first))
			require.Eventually(t, func() bool { return m.Pool().Stat().TotalConns() >= 2 }, time.Minute, time.Millisecond)
		})
	}
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.MaxConnLifetime = 0 })
		require.NoError(t, m.Start(t.Context()))
		acquireAll(t, m, 5)
		require.Zero(t, m.Retired())
	})
}
