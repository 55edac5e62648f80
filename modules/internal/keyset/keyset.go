// Package keyset reads lists in pages, each of which begins behind the key of a row.
package keyset

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

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

// List describes a list in pages. A page's Next holds the key of the page's last row, so the
// next page begins behind the key, also if the row has changed or gone since.
type List[R, T any] struct {
	Select string // the statement up to and with a condition after "where"
	// Nested returns a statement with an order and a limit of its own, in place of Select. behind is
	// the condition of the next pages, and empty for the first page.
	Nested     func(behind string) string
	Key        []Column // the order of the list; the last column is unique
	Descending bool     // the direction of every column
	KeyOf      func(R) []any
	Convert    func(R) (T, error)
	Parent     string // a statement that returns whether the list's parent exists; empty: no parent
	Unknown    error  // the parent does not exist
}

// Page reads the page behind after, or the first page if after is empty. A cursor of foreign
// origin is a [modules.ErrInvalid]. A page ends after [modules.PageBytes] too. If a page is empty and the list
// has a parent, Page asks whether the parent exists.
func (k List[R, T]) Page(ctx context.Context, db *store.DB, limit int, after string, args pgx.NamedArgs) (modules.Page[T], error) {
	all := pgx.NamedArgs{}
	maps.Copy(all, args)
	err := CheckLimit(&limit)
	if after != "" {
		err = check.First(err, k.decode(after, all))
	}
	if err != nil {
		return modules.Page[T]{}, err
	}
	all["page_limit"] = limit + 1 // a further row shows whether a page follows
	rows, more, err := store.Bounded[R](ctx, db, k.sql(after != ""), all)
	if err == nil && len(rows) == 0 {
		err = k.checkParent(ctx, db, all)
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
		p.Next, err = encodeKey(k.KeyOf(rows[len(rows)-1]))
	}
	return p, err
}

func (k List[R, T]) checkParent(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
	if k.Parent == "" {
		return nil
	}
	exists, err := store.Value[bool](ctx, db, k.Parent, args)
	if err == nil && !exists {
		err = k.Unknown
	}
	return err
}

// sql returns the statement of a page. A comparison of rows is the condition of an index scan.
func (k List[R, T]) sql(behind bool) string {
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
		condition = "(" + strings.Join(columns, ", ") + ") " + operator + " (" + strings.Join(values, ", ") + ")"
	}
	if k.Nested != nil {
		return k.Nested(condition)
	}
	sql := k.Select
	if behind {
		sql += "\n  and " + condition
	}
	return sql + "\norder by " + strings.Join(order, ", ") + " limit @page_limit::int"
}

func encodeKey(key []any) (string, error) {
	raw, err := json.Marshal(key)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// decode adds the key of a cursor to the arguments.
func (k List[R, T]) decode(cursor string, args pgx.NamedArgs) error {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	var key []json.RawMessage
	ok := err == nil && json.Unmarshal(raw, &key) == nil && len(key) == len(k.Key)
	for i := 0; ok && i < len(key); i++ {
		args[fmt.Sprintf("key%d", i)], ok = k.Key[i].Type.decode(key[i])
	}
	return check.That("after", "must be the next of an earlier page", ok)
}

// decode returns a value of a cursor, and whether the server takes the value.
func (t Type) decode(raw json.RawMessage) (any, bool) {
	switch t {
	case Time:
		var at time.Time
		return decoded(raw, &at, func() error { return check.Time("key", at) })
	case Integer:
		var n int32
		return decoded(raw, &n, func() error { return nil })
	case Number:
		var n float64
		return decoded(raw, &n, func() error { return nil })
	}
	var text string
	return decoded(raw, &text, func() error {
		if t == UUID {
			return check.UUID("key", text)
		}
		return check.Storable("key", text)
	})
}

func decoded[V any](raw json.RawMessage, v *V, check func() error) (any, bool) {
	if json.Unmarshal(raw, v) != nil || check() != nil {
		return nil, false
	}
	return *v, true
}

// Always returns the Convert of a [List] whose rows always convert.
func Always[R, T any](convert func(R) T) func(R) (T, error) {
	return func(r R) (T, error) { return convert(r), nil }
}

// Last returns the last of optional arguments. Callers give at most a single optional argument.
func Last[T any](optional []T) (last T) {
	if len(optional) > 0 {
		last = optional[len(optional)-1]
	}
	return last
}
