package newpool

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

func inATest(ctx context.Context) (*pgxpool.Pool, error) { return pgxpool.New(ctx, "") }
