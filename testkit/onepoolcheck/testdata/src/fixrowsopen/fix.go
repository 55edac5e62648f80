package fixrowsopen

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func first(ctx context.Context, pool *pgxpool.Pool, check bool) (n int, err error) {
	if check {
		rows, err := pool.Query(ctx, "") // want `the rows stay open`
		if err != nil {
			return 0, err
		}
		for rows.Next() {
			return 1, nil
		}
	}
	return 0, nil
}

// A deferred call in a loop runs too late: no fix.
func inLoop(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		rows, err := pool.Query(ctx, "") // want `the rows stay open`
		if err != nil {
			return err
		}
		if rows.Next() {
			return nil
		}
	}
}

// The error of Close says whether the server took the batch: no fix.
func batch(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	results := pool.SendBatch(ctx, b) // want `the batch results stay open`
	_, err := results.Exec()
	return err
}
