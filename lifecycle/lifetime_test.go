package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
				c.Pool.HealthCheckPeriod = 10 * time.Millisecond // refills the minimum
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
