package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// pgxpool asks PrepareConn and AfterRelease for an acquire and a release of the program alone.
func TestThePoolsOwnUpkeepAsksNoHookOfTheCaller(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var prepared, released atomic.Int64
	m, _ := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns, c.Pool.MaxConnLifetime = 2, 4, 300*time.Millisecond
		c.Pool.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { prepared.Add(1); return true, nil }
		c.Pool.AfterRelease = func(*pgx.Conn) bool { released.Add(1); return true }
	})
	eventually(t, func() bool { return m.Retired() >= 2 }) // a start, a round, and two successors
	require.Zero(t, prepared.Load())
	require.Zero(t, released.Load())

	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "test"})
	require.NoError(t, err)
	conn.Release()
	eventually(t, func() bool { return released.Load() == 1 })
	require.EqualValues(t, 1, prepared.Load())
}
