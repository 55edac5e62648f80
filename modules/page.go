package modules

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Page is Many for a list whose pages go on after the row of an id: sql has the limit
// of a page, and where after is not empty begins after the row @after of a table. A
// page that is empty because there is no such row is missing.
func Page[T any](ctx context.Context, db *DB, table, after, sql string, args pgx.NamedArgs, missing error) ([]T, error) {
	if after != "" {
		if err := CheckID("after", after); err != nil {
			return nil, err
		}
	}
	args["after"] = after
	rows, err := Many[T](ctx, db, sql, args)
	if err != nil || after == "" || len(rows) > 0 {
		return rows, err
	}
	there, err := Value[bool](ctx, db, fmt.Sprintf("select exists (select from %s where id = @after)", table), args)
	if err == nil && !there {
		return nil, missing
	}
	return rows, err
}

// Last is the last of optional arguments, of which callers give one or none.
func Last[T any](optional []T) (last T) {
	if len(optional) > 0 {
		last = optional[len(optional)-1]
	}
	return last
}
