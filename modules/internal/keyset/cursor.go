package keyset

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
)

// next returns the cursor behind a row.
func (k List[R, T]) next(last R) (string, error) {
	if k.ID != nil {
		return k.ID(last), nil
	}
	return Cursor(k.KeyOf(last)...)
}

// Cursor returns the cursor behind the row with the key. The values are in the order of the
// columns.
func Cursor(key ...any) (string, error) {
	raw, err := json.Marshal(key)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// place adds the key or the id of a cursor to the arguments.
func (k List[R, T]) place(cursor string, args pgx.NamedArgs) error {
	if k.ID != nil {
		args["after"] = cursor
		return check.Storable("after", cursor)
	}
	types := make([]Type, len(k.Key))
	for i, c := range k.Key {
		types[i] = c.Type
	}
	return Place(cursor, args, types...)
}

// Place adds the key of a [Cursor] to the arguments, as @key0, @key1 and so on. A cursor of
// foreign origin is a [modules.ErrInvalid].
func Place(cursor string, args pgx.NamedArgs, types ...Type) error {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	var key []json.RawMessage
	ok := err == nil && json.Unmarshal(raw, &key) == nil && len(key) == len(types)
	for i := 0; ok && i < len(key); i++ {
		args[fmt.Sprintf("key%d", i)], ok = types[i].decode(key[i])
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

// CheckID checks the cursor of a list whose rows have callers' ids. An empty cursor is the first
// page.
func CheckID(after string) error {
	if after == "" {
		return nil
	}
	return check.ID("after", after)
}

// Last returns the last of optional arguments. Callers give at most a single optional argument.
func Last[T any](optional []T) (last T) {
	if len(optional) > 0 {
		last = optional[len(optional)-1]
	}
	return last
}
