package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
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

// ReadPage is [Bounded] for a list whose pages continue after the row of an id. sql has the
// limit of a page and, if after is not empty, begins after the row @after of a table. more
// reports that another page follows. If the page is empty because the table has no row after,
// ReadPage returns missing.
func ReadPage[T any](ctx context.Context, db *DB, table, after, sql string, limit int, args pgx.NamedArgs, missing error) (rows []T, more bool, err error) {
	if after != "" {
		if err := check.ID("after", after); err != nil {
			return nil, false, err
		}
	}
	args["after"], args["limit"] = after, limit+1 // a further row shows whether a page follows
	rows, more, err = Bounded[T](ctx, db, sql, args)
	if err != nil || len(rows) > limit {
		return rows[:min(len(rows), limit)], err == nil, err
	}
	if after == "" || len(rows) > 0 {
		return rows, more, nil
	}
	there, err := Value[bool](ctx, db, fmt.Sprintf("select exists (select from %s where id::text = @after)", table), args)
	if err == nil && !there {
		return nil, false, missing
	}
	return rows, false, err
}

// MakePage turns the rows of [ReadPage] into the caller's page.
func MakePage[R, T any](rows []R, more bool, convert func(R) T, id func(T) string) modules.Page[T] {
	page := modules.Page[T]{Items: make([]T, len(rows))}
	for i, r := range rows {
		page.Items[i] = convert(r)
	}
	if more {
		page.Next = id(page.Items[len(rows)-1])
	}
	return page
}
