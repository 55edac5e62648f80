package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// One runs a statement that returns a single row, into the fields of a struct by the columns'
// names. An absent row is [pgx.ErrNoRows]. One, [Many] and [Value] retry after a conflict with
// other transactions and, for a read, after a broken connection.
func One[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs) (T, error) {
	return collect(ctx, db, sql, args, func(rows pgx.Rows) (T, error) {
		return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	})
}

// Many is [One] for any number of rows.
func Many[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs) ([]T, error) {
	return collect(ctx, db, sql, args, func(rows pgx.Rows) ([]T, error) {
		return pgx.CollectRows(rows, pgx.RowToStructByName[T])
	})
}

func collect[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs, all func(pgx.Rows) (T, error)) (out T, err error) {
	err = db.send(ctx, reads(sql), func(ctx context.Context, s sender) error {
		rows, err := s.Query(ctx, sql, args)
		if err == nil {
			out, err = all(rows)
		}
		return err
	})
	return out, err
}

// Value runs a statement that returns a single value. An absent row is [pgx.ErrNoRows].
func Value[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs) (v T, err error) {
	err = db.QueryRow(ctx, sql, args).Scan(&v)
	return v, err
}

// After runs a statement, and then a statement that returns rows, in a single transaction and
// round trip. The second statement sees the commits during the first statement's wait.
func After[T any](ctx context.Context, db *DB, first, sql string, args pgx.NamedArgs) (out []T, err error) {
	err = Batch(ctx, db, func(b *pgx.Batch) {
		b.Queue(first, args)
		b.Queue(sql, args).Query(func(rows pgx.Rows) (err error) {
			out, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// OrMissing returns missing for [pgx.ErrNoRows], and every different error unchanged.
func OrMissing(err, missing error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return missing
	}
	return err
}
