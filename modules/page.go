package modules

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// PageBytes is after how many bytes from the server a list ends, whatever its limit: the
// rows of a list may be of a megabyte each. The row that reaches the bound is part of the
// list.
const PageBytes = 4 << 20

// Page is a part of a list. Next is the id of the page's last, behind which the list goes
// on; Next is empty at the end of the list.
type Page[T any] struct {
	Items []T
	Next  string
}

// Bounded is Many for a list that ends after PageBytes. more says that the server had
// more rows than that.
func Bounded[T any](ctx context.Context, db *DB, sql string, args pgx.NamedArgs) (rows []T, more bool, err error) {
	rows, err = collect(ctx, db, sql, args, func(r pgx.Rows) (rows []T, err error) {
		rows, more, err = CollectBounded[T](r)
		return rows, err
	})
	return rows, more, err
}

// CollectBounded is pgx.CollectRows by the columns' names, for Bounded's lists.
func CollectBounded[T any](r pgx.Rows) (rows []T, more bool, err error) {
	defer r.Close()
	rows = []T{}
	for size := 0; r.Next(); {
		if size >= PageBytes {
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

// ReadPage is Bounded for a list whose pages go on after the row of an id: sql has the
// limit of a page, and where after is not empty begins after the row @after of a table.
// more says that another page follows. A page that is empty because there is no row after
// is missing.
func ReadPage[T any](ctx context.Context, db *DB, table, after, sql string, limit int, args pgx.NamedArgs, missing error) (rows []T, more bool, err error) {
	if after != "" {
		if err := CheckID("after", after); err != nil {
			return nil, false, err
		}
	}
	args["after"], args["limit"] = after, limit+1 // one more tells whether a page follows
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

// MakePage turns the rows of ReadPage into what callers get.
func MakePage[R, T any](rows []R, more bool, convert func(R) T, id func(T) string) Page[T] {
	page := Page[T]{Items: make([]T, len(rows))}
	for i, r := range rows {
		page.Items[i] = convert(r)
	}
	if more {
		page.Next = id(page.Items[len(rows)-1])
	}
	return page
}

// Last is the last of optional arguments, of which callers give one or none.
func Last[T any](optional []T) (last T) {
	if len(optional) > 0 {
		last = optional[len(optional)-1]
	}
	return last
}
