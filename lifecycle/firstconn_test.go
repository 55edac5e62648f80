package lifecycle_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestAStartOpensNoConnectionBesideThePools counts the connects of starts with a minimum of two
// connections: a backend costs the server more than all statements of a start.
func TestAStartOpensNoConnectionBesideThePools(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	db.server.run(t, "alter database "+db.name+" set statement_timeout = '70s'")
	ready := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		change   func(*lifecycle.Config)
		connects int64
	}{
		"the pool keeps the first":  {func(*lifecycle.Config) {}, 2},
		"BeforeReady looks":         {func(c *lifecycle.Config) { c.BeforeReady = ready }, 2},
		"BeforeReady migrates":      {func(c *lifecycle.Config) { c.BeforeReady, c.Migrates = ready, true }, 3},
		"a hook needs a migration":  {func(c *lifecycle.Config) { c.Pool.AfterConnect = func(context.Context, *pgx.Conn) error { return nil } }, 3},
		"the first attempt fails":   {func(c *lifecycle.Config) { c.Start, c.BeforeReady = lifecycle.StartWait, failOnce() }, 3},
		"the database has a limit":  {func(c *lifecycle.Config) { c.Yields = []string{"statement_timeout"} }, 3},
		"the database has no limit": {func(c *lifecycle.Config) { c.Yields = []string{"lock_timeout"} }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connects atomic.Int64
			m := newMonitor(t, db.URL(), func(cfg *lifecycle.Config) {
				cfg.Pool.MinConns = 2
				cfg.Pool.ConnConfig.RuntimeParams["statement_timeout"] = "50s"
				base := cfg.Pool.ConnConfig.DialFunc
				cfg.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
					connects.Add(1)
					return base(ctx, network, addr)
				}
				c.change(cfg)
			})
			require.NoError(t, m.Start(bounded(t)))
			require.Equal(t, c.connects, connects.Load())
			require.EqualValues(t, 2, m.Pool().Stat().TotalConns())
			require.NotZero(t, m.ServerVersion())
			var timeout string
			require.NoError(t, m.Pool().QueryRow(bounded(t), "show statement_timeout").Scan(&timeout))
			if len(m.Yielded()) > 0 {
				require.Equal(t, "70s", timeout, "no connection keeps the pool's own limit")
			} else {
				require.Equal(t, "50s", timeout)
			}
		})
	}
}

// failOnce returns a BeforeReady that loses the server once.
func failOnce() func(context.Context) error {
	var calls atomic.Int64
	return func(context.Context) error {
		if calls.Add(1) == 1 {
			return &net.OpError{Op: "read", Err: net.ErrClosed}
		}
		return nil
	}
}
