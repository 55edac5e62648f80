package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Bounded is [Many] for a list that ends after [modules.PageBytes]. more reports that the server
// had more rows.
func Bounded[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs) (rows []T, more bool, err error) {
	rows, err = collect(ctx, db, sql, args, func(r pgx.Rows) (rows []T, err error) {
		rows, more, err = CollectBounded[T](r)
		return rows, err
	})
	return rows, more, err
}

// CollectBounded is [pgx.CollectRows] by the columns' names, for lists of [Bounded].
func CollectBounded[T any](r pgx.Rows) (rows []T, more bool, err error) {
	defer r.Close()
	rows = []T{}
	for size := 0; r.Next(); {
		if size >= modules.PageBytes {
			more = true
			break
		}
		row, err := pgx.RowToStructByName[T](r)
		if err != nil {
			return nil, false, err
		}
		for _, column := range r.RawValues() {
			size += len(column)
		}
		rows = append(rows, row)
	}
	r.Close()
	return rows, more, r.Err()
}
