package rowsopen

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

func wantsFailure(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	_, err := pool.Query(ctx, "")
	require.ErrorIs(t, err, context.Canceled)
}

func wantsSuccess(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	_, err := pool.Query(ctx, "") // want `the rows are dropped and stay open`
	require.NoError(t, err)
}

func wantsTheEnd(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	rows, err := pool.Query(ctx, "")
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.False(t, rows.Next())
}

func wantsARow(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	rows, err := pool.Query(ctx, "") // want `the rows stay open`
	require.NoError(t, err)
	require.True(t, rows.Next())
}

func wantsABadRow(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	rows, err := pool.Query(ctx, "")
	require.NoError(t, err)
	_, err = rows.Values()
	require.Error(t, err)
}
