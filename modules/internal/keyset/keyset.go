// Package keyset reads lists in pages, each of which begins behind the key of a row.
package keyset

import (
	"context"
	"fmt"
	"maps"
	"math/bits"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// CheckLimit turns a limit of 0 into [modules.DefaultPage], and checks the limit of a page.
func CheckLimit(limit *int) error {
	if *limit == 0 {
		*limit = modules.DefaultPage
	}
	return check.That("limit", fmt.Sprintf("must be from 1 to %d, and 0 for %d", modules.MaxPage, modules.DefaultPage), *limit >= 1 && *limit <= modules.MaxPage)
}

// Type is the type of a column in the key of a [List].
type Type string

// The types of a key's columns.
const (
	Text    Type = "text"
	UUID    Type = "uuid"
	Time    Type = "timestamptz"
	Number  Type = "float8"
	Integer Type = "int4"
)

// Column is a column in the key of a [List]: an expression over the statement's tables.
type Column struct {
	SQL  string
	Type Type
}

// List describes a list in pages. A page's Next holds the key of the page's last row, so the next
// page begins behind the key, also if the row has changed or gone since. In a list with ID, Next
// is the id of the last row, and the next page begins behind the row's place of now.
type List[R, T any] struct {
	Select string // the statement up to and with a condition after "where"
	// Nested returns a statement with an order and a limit of its own, in place of Select. behind is
	// the condition of the next pages, and empty for the first page. bound is the [Bound] of
	// @page_limit.
	Nested     func(behind string, bound int) string
	Key        []Column // the order of the list; the last column is unique
	Descending bool     // the direction of every column
	KeyOf      func(R) []any
	ID         func(R) string // in place of KeyOf
	Row        string         // with ID: the table and the condition of the row @after; empty: the id is the key
	Convert    func(R) (T, error)
	Parent     string // a statement that returns whether the list's parent exists; empty: no parent
	Unknown    error  // the parent, or the row of an id, does not exist
}

// Page reads the page behind after, or the first page if after is empty. A cursor of foreign
// origin is a [modules.ErrInvalid]. A page ends after [modules.PageBytes] too. If a page is empty,
// Page asks whether the parent, or the row of the id, exists.
func (k List[R, T]) Page(ctx context.Context, db *store.DB, limit int, after string, args pgx.NamedArgs) (modules.Page[T], error) {
	all := pgx.NamedArgs{}
	maps.Copy(all, args)
	err := CheckLimit(&limit)
	if after != "" {
		err = check.First(err, k.place(after, all))
	}
	if err != nil {
		return modules.Page[T]{}, err
	}
	all["page_limit"] = limit + 1 // a further row shows whether a page follows
	rows, more, err := store.Bounded[R](ctx, db, k.sql(after != "", Bound(limit+1)), all)
	if err == nil && len(rows) == 0 {
		err = k.known(ctx, db, after, all)
	}
	if err != nil {
		return modules.Page[T]{}, err
	}
	if len(rows) > limit {
		rows, more = rows[:limit], true
	}
	return k.page(rows, more)
}

func (k List[R, T]) page(rows []R, more bool) (p modules.Page[T], err error) {
	p.Items = make([]T, len(rows))
	for i, r := range rows {
		if p.Items[i], err = k.Convert(r); err != nil {
			return modules.Page[T]{}, err
		}
	}
	if more {
		p.Next, err = k.next(rows[len(rows)-1])
	}
	return p, err
}

// known returns Unknown if an empty page has no parent, or begins behind no row.
func (k List[R, T]) known(ctx context.Context, db *store.DB, after string, args pgx.NamedArgs) error {
	sql := k.Parent
	if k.Row != "" && after != "" {
		sql = "select exists (select from " + k.Row + ")"
	}
	if sql == "" {
		return nil
	}
	exists, err := store.Value[bool](ctx, db, sql, args)
	if err == nil && !exists {
		err = k.Unknown
	}
	return err
}

// Bound returns a literal for a statement whose limit is a parameter: the smallest power of two
// that is at least the limit. For a parameter the planner of a generic plan expects a tenth of all
// rows, finds the plan too dear, and plans each call anew. The limits of all callers share few
// statements.
func Bound(limit int) int { return 1 << bits.Len(uint(limit-1)) }

// sql returns the statement of a page of at most bound rows. A comparison of rows is the condition
// of an index scan. The outer limit keeps the order of the rows.
func (k List[R, T]) sql(behind bool, bound int) string {
	columns, values, order := make([]string, len(k.Key)), make([]string, len(k.Key)), make([]string, len(k.Key))
	operator, direction := ">", ""
	if k.Descending {
		operator, direction = "<", " desc"
	}
	for i, c := range k.Key {
		columns[i], values[i], order[i] = c.SQL, fmt.Sprintf("@key%d::%s", i, c.Type), c.SQL+direction
	}
	condition := ""
	if behind {
		place := strings.Join(values, ", ")
		switch {
		case k.Row != "":
			place = "select " + strings.Join(columns, ", ") + " from " + k.Row
		case k.ID != nil:
			place = "@after::text"
		}
		condition = "(" + strings.Join(columns, ", ") + ") " + operator + " (" + place + ")"
	}
	if k.Nested != nil {
		return k.Nested(condition, bound)
	}
	sql := k.Select
	if behind {
		sql += "\n  and " + condition
	}
	return fmt.Sprintf("select * from (\n%s\norder by %s limit %d\n) page limit @page_limit::int", sql, strings.Join(order, ", "), bound)
}

// Always returns the Convert of a [List] whose rows always convert.
func Always[R, T any](convert func(R) T) func(R) (T, error) {
	return func(r R) (T, error) { return convert(r), nil }
}
