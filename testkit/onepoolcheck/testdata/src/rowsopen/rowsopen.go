package rowsopen

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func deferred(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		return nil
	}
	return rows.Err()
}

func toTheEnd(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err // Scan closed the rows
		}
	}
	return rows.Err()
}

func returnInLoop(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	rows, err := pool.Query(ctx, "") // want `the rows stay open on the path that ends in line 47`
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		var n int
		err = rows.Scan(&n)
		if n > 3 {
			return n, err
		}
	}
	return 0, rows.Err()
}

func breakOfLoop(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "") // want `the rows stay open`
	if err != nil {
		return err
	}
	for rows.Next() {
		break
	}
	return nil
}

func breakAndClose(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	for rows.Next() {
		break
	}
	rows.Close()
	return rows.Err()
}

func firstOnly(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "") // want `the rows stay open`
	if err != nil {
		return err
	}
	if !rows.Next() {
		return errors.New("none") // Next closed the rows
	}
	return rows.Scan()
}

func collected(ctx context.Context, pool *pgxpool.Pool) ([]int, error) {
	rows, _ := pool.Query(ctx, "")
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

func forEach(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, nil, func() error { return nil })
	return err
}

func oneRow(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	rows, err := pool.Query(ctx, "") // want `the rows stay open`
	if err != nil {
		return 0, err
	}
	rows.Next()
	return pgx.RowTo[int](rows) // a CollectableRow has no Close
}

func handedOn(ctx context.Context, pool *pgxpool.Pool) (pgx.Rows, error) {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func handedOnDirectly(ctx context.Context, pool *pgxpool.Pool) (pgx.Rows, error) {
	return pool.Query(ctx, "")
}

func read(rows pgx.Rows) error { defer rows.Close(); return nil }

func handedTo(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	return read(rows)
}

type cursor struct{ rows pgx.Rows }

func kept(ctx context.Context, pool *pgxpool.Pool) (*cursor, error) {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return nil, err
	}
	return &cursor{rows: rows}, nil
}

func dropped(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Query(ctx, "") // want `the rows are dropped and stay open`
	return err
}

func droppedWhole(ctx context.Context, pool *pgxpool.Pool) {
	pool.Query(ctx, "") // want `the rows are dropped and stay open`
}

func earlyReturn(ctx context.Context, pool *pgxpool.Pool, stop bool) error {
	rows, err := pool.Query(ctx, "") // want `the rows stay open`
	if err != nil {
		return err
	}
	if stop {
		return nil
	}
	defer rows.Close()
	return nil
}

func invertedCheck(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err == nil {
		defer rows.Close()
	}
	return err
}

func combined(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil || !rows.Next() {
		return err
	}
	rows.Close()
	return nil
}

func errorsIs(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return err
	}
	rows.Close()
	return nil
}

func ifStatement(ctx context.Context, pool *pgxpool.Pool) error {
	if rows, err := pool.Query(ctx, ""); err != nil {
		return err
	} else {
		rows.Close()
	}
	return nil
}

func closure(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	defer func() { rows.Close() }()
	return nil
}

func methodValue(ctx context.Context, pool *pgxpool.Pool, cleanup func(func())) error {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		return err
	}
	cleanup(rows.Close)
	return nil
}

func panics(ctx context.Context, pool *pgxpool.Pool) {
	rows, err := pool.Query(ctx, "")
	if err != nil {
		panic(err)
	}
	if !rows.Next() {
		panic("none")
	}
	rows.Close()
}

func inLoop(ctx context.Context, pool *pgxpool.Pool, texts []string) error {
	for _, text := range texts {
		rows, err := pool.Query(ctx, text) // want `the rows of rows stay open if the loop fills rows again`
		if err != nil {
			return err
		}
		_ = rows.Next()
	}
	return nil
}

func inLoopClosed(ctx context.Context, pool *pgxpool.Pool, texts []string) error {
	for _, text := range texts {
		rows, err := pool.Query(ctx, text)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

func batch(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	results := pool.SendBatch(ctx, b)
	defer results.Close()
	_, err := results.Exec()
	return err
}

func batchEarly(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	results := pool.SendBatch(ctx, b) // want `the batch results stay open`
	if _, err := results.Exec(); err != nil {
		return err // an error closes no batch results
	}
	return results.Close()
}

func batchAtOnce(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	return pool.SendBatch(ctx, b).Close()
}

func batchChained(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	_, err := pool.SendBatch(ctx, b).Exec() // want `nobody can close the batch results of this call`
	return err
}

func batchDropped(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) {
	pool.SendBatch(ctx, b) // want `the batch results are dropped`
}

func failed(b *pgx.Batch, err error) error {
	_, err = pgx.FailedBatchResults(b, err).Exec() // no connection is behind them
	return err
}

func rowsOfBatch(results pgx.BatchResults) error {
	rows, err := results.Query() // want `the rows stay open`
	if err != nil {
		return err
	}
	rows.Next()
	return nil
}

func databaseSQL(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "") // want `the rows stay open`
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(); err != nil {
			return err // database/sql closes no rows here
		}
	}
	return rows.Err()
}

func singleRow(ctx context.Context, pool *pgxpool.Pool) error {
	return pool.QueryRow(ctx, "").Scan()
}

func allowed(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, "") //onepoolcheck:allow rowsopen the caller's transaction ends at once
	if err != nil {
		return err
	}
	rows.Next()
	return nil
}
