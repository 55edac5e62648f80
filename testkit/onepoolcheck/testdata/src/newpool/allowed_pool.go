package newpool

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

func allowedByPattern(ctx context.Context) (*pgxpool.Pool, error) { return pgxpool.New(ctx, "") }
