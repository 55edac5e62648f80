package webnavigator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentagency/onepool/modules"
)

// What is checked here never reaches the server: its own refusal would name a
// constraint, not the field, and some of its messages repeat the value.

func check(field, must string, ok bool) error {
	if ok {
		return nil
	}
	return modules.Invalid(field, must)
}

func checkUUID(field, id string) error {
	var u pgtype.UUID
	return check(field, "must be a UUID", u.Scan(id) == nil)
}

// checkText is for what must say something, in at most limit bytes.
func checkText(field, v string, limit int) error {
	switch {
	case strings.TrimSpace(v) == "":
		return modules.Invalid(field, "must not be blank")
	case len(v) > limit:
		return modules.Invalid(field, fmt.Sprintf("must be at most %d bytes", limit))
	}
	return checkStorable(field, v)
}

// checkStorable is for text that may be empty and of any length.
func checkStorable(field string, values ...string) error {
	for _, v := range values {
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return modules.Invalid(field, "must be text without NUL bytes")
		}
	}
	return nil
}

// checkInt32 is for what the server keeps in 32 bits.
func checkInt32(field string, v, least int) error {
	return check(field, fmt.Sprintf("must be from %d to %d", least, math.MaxInt32), v >= least && v <= math.MaxInt32)
}

// maxURL is what fits into an index beside a tenant and a hash, in bytes.
const maxURL = 2048

func checkURL(field, url string) error { return checkText(field, url, maxURL) }

func checkEnum[T ~string](field string, v T, values []T) error {
	return check(field, fmt.Sprintf("must be one of %v", values), slices.Contains(values, v))
}

// encode returns a value as JSON.
func encode(field string, v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", modules.Invalid(field, "must be what JSON can hold")
	}
	return string(raw), checkJSON(field, raw)
}

// checkJSON refuses the one character of JSON that jsonb does.
func checkJSON(field string, raw []byte) error {
	for rest := raw; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 {
			return nil
		}
		if bytes.HasPrefix(rest[at:], []byte(`\u0000`)) {
			return modules.Invalid(field, "must not hold the NUL character")
		}
		rest = rest[at+2:] // what follows a backslash is never the last byte of valid JSON
	}
}

func firstError(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
