// Package check checks the arguments of the clients' calls, each with the argument's name. A value
// that fails a check never reaches the server: the server's error would name a constraint, not
// the argument, and some of the server's messages repeat the value.
package check

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentagency/onepool/modules"
)

// Invalid returns a [*modules.FieldError].
func Invalid(field, must string) error { return &modules.FieldError{Field: field, Must: must} }

// Within returns err with a path before the field, if err is a [*modules.FieldError].
func Within(path string, err error) error {
	var field *modules.FieldError
	if errors.As(err, &field) {
		return Invalid(path+"."+field.Field, field.Must)
	}
	return err
}

// First returns the first error that is not nil.
func First(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// That returns nil when ok, otherwise Invalid(field, must).
func That(field, must string, ok bool) error {
	if ok {
		return nil
	}
	return Invalid(field, must)
}

// ID is [Text] for the ids that callers give: 1 to 255 bytes.
func ID(field, id string) error {
	return First(Text(field, id, 255), Segment(field, id))
}

// Segment checks a segment of a URL's path: clients and servers resolve the segments . and
// .. away.
func Segment(field, v string) error {
	return That(field, "must not be . or ..", v != "." && v != "..")
}

// UUID checks an id that the database made.
func UUID(field, id string) error {
	var u pgtype.UUID
	return That(field, "must be a UUID", u.Scan(id) == nil)
}

// Text checks a text that may not be blank, of at most limit bytes.
func Text(field, v string, limit int) error {
	switch {
	case strings.TrimSpace(v) == "":
		return Invalid(field, "must not be blank")
	case len(v) > limit:
		return Invalid(field, fmt.Sprintf("must be at most %d bytes", limit))
	}
	return Storable(field, v)
}

// Storable checks texts that may be empty and of any length.
func Storable(field string, values ...string) error {
	for _, v := range values {
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return Invalid(field, "must be text without NUL bytes")
		}
	}
	return nil
}

// Optional is [Storable] for a text that may be missing.
func Optional(field string, v *string) error {
	if v == nil {
		return nil
	}
	return Storable(field, *v)
}

// SHA256 checks a SHA-256 in hex, of either case.
func SHA256(field, v string) error {
	sum, err := hex.DecodeString(v)
	return That(field, "must be a SHA-256 in hex", err == nil && len(sum) == sha256.Size)
}

// Share checks a number from 0 to 1; NaN fails.
func Share(field string, v float64) error {
	return That(field, "must be from 0 to 1", v >= 0 && v <= 1)
}

// Int32 checks a whole number from least to the largest 32-bit integer of the server.
func Int32(field string, v, least int) error {
	return That(field, fmt.Sprintf("must be from %d to %d", least, math.MaxInt32), v >= least && v <= math.MaxInt32)
}

// Rows checks the number of rows of a call.
func Rows(field string, n int) error {
	return That(field, fmt.Sprintf("must be at most %d in one call", modules.MaxRows), n <= modules.MaxRows)
}

// Enum checks an element of values.
func Enum[T ~string](field string, v T, values []T) error {
	return That(field, fmt.Sprintf("must be one of %v", values), slices.Contains(values, v))
}
