package poolintx

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

func wantsNoTransaction(ctx context.Context, t require.TestingT, pool *pgxpool.Pool) {
	tx, err := pool.Begin(ctx)
	require.Error(t, err)
	require.NoError(t, pool.Ping(ctx))
	_ = tx
}
