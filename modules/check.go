package modules

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
)

// A value that fails a check never reaches the server: the server's error would name a
// constraint, not the field, and some of the server's messages repeat the value.

// FieldError is an [ErrInvalid] that names a field and the condition for the field, for example
// "must not be blank".
type FieldError struct{ Field, Must string }

func (e *FieldError) Error() string { return ErrInvalid.Error() + ": " + e.Field + " " + e.Must }

// Is reports whether target is [ErrInvalid].
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// Invalid returns a [*FieldError].
func Invalid(field, must string) error { return &FieldError{field, must} }

// Within returns err with a path before the field, if err is a [*FieldError].
func Within(path string, err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		return Invalid(path+"."+field.Field, field.Must)
	}
	return err
}

// FirstError returns the first error that is not nil.
func FirstError(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// Check returns nil when ok, otherwise Invalid(field, must).
func Check(field, must string, ok bool) error {
	if ok {
		return nil
	}
	return Invalid(field, must)
}

// CheckID is [CheckText] for the ids that callers give: 1 to 255 bytes.
func CheckID(field, id string) error {
	return FirstError(CheckText(field, id, 255), CheckSegment(field, id))
}

// CheckSegment checks a segment of a URL's path: clients and servers resolve the segments . and
// .. away.
func CheckSegment(field, v string) error {
	return Check(field, "must not be . or ..", v != "." && v != "..")
}

// CheckUUID checks an id that the database made.
func CheckUUID(field, id string) error {
	var u pgtype.UUID
	return Check(field, "must be a UUID", u.Scan(id) == nil)
}

// CheckText checks a text that may not be blank, of at most limit bytes.
func CheckText(field, v string, limit int) error {
	switch {
	case strings.TrimSpace(v) == "":
		return Invalid(field, "must not be blank")
	case len(v) > limit:
		return Invalid(field, fmt.Sprintf("must be at most %d bytes", limit))
	}
	return CheckStorable(field, v)
}

// CheckStorable checks texts that may be empty and of any length.
func CheckStorable(field string, values ...string) error {
	for _, v := range values {
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return Invalid(field, "must be text without NUL bytes")
		}
	}
	return nil
}

// CheckOptional is [CheckStorable] for a text that may be missing.
func CheckOptional(field string, v *string) error {
	if v == nil {
		return nil
	}
	return CheckStorable(field, *v)
}

// CheckSHA256 checks a SHA-256 in hex, of either case.
func CheckSHA256(field, v string) error {
	sum, err := hex.DecodeString(v)
	return Check(field, "must be a SHA-256 in hex", err == nil && len(sum) == sha256.Size)
}

// CheckShare checks a number from 0 to 1; NaN fails.
func CheckShare(field string, v float64) error {
	return Check(field, "must be from 0 to 1", v >= 0 && v <= 1)
}

// CheckInt32 checks a whole number from least to the largest 32-bit integer of the server.
func CheckInt32(field string, v, least int) error {
	return Check(field, fmt.Sprintf("must be from %d to %d", least, math.MaxInt32), v >= least && v <= math.MaxInt32)
}

// MaxRows is the largest number of rows of a call. A call is a single statement, which holds
// locks until the end.
const MaxRows = 10_000

// CheckRows checks the number of rows of a call.
func CheckRows(field string, n int) error {
	return Check(field, fmt.Sprintf("must be at most %d in one call", MaxRows), n <= MaxRows)
}

// CheckEnum checks an element of values.
func CheckEnum[T ~string](field string, v T, values []T) error {
	return Check(field, fmt.Sprintf("must be one of %v", values), slices.Contains(values, v))
}
