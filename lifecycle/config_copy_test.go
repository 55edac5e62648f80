package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAPoolFromACopyOfTheConfigIsIndependent(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var connects atomic.Int64
	m, _ := buildPool(t, func(c *lifecycle.Config) {
		c.Pool.MaxConnLifetime = 7 * time.Minute
		c.Pool.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { connects.Add(1); return nil }
	})
	copied := m.Pool().Config()
	require.Equal(t, 7*time.Minute, copied.MaxConnLifetime)
	require.Nil(t, copied.PrepareConn)
	copied.MinConns = 0
	other, err := pgxpool.NewWithConfig(t.Context(), copied)
	require.NoError(t, err)
	defer other.Close()
	conn, err := other.Acquire(bounded(t)) // the first pool has not started
	require.NoError(t, err)
	defer conn.Release()
	require.EqualValues(t, 1, connects.Load(), "the caller's hook is the caller's")

	require.NoError(t, m.Start(bounded(t)))
	own := acquire(t, m, "app")
	require.NoError(t, use(t, m, "select 1"))
	own.Release()
	require.Zero(t, m.Pool().Stat().AcquiredConns())
	_, err = lifecycle.Drain(bounded(t), m, time.Minute)
	require.NoError(t, err, "the other pool's holder is none of this pool's")
	var one int
	require.NoError(t, conn.QueryRow(bounded(t), "select 1").Scan(&one), "and keeps its connection")
}
