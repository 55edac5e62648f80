package modules

import (
	"bytes"
	"encoding/json"
	"reflect"
	"unicode/utf8"
)

// EncodeJSON returns v as JSON that jsonb takes, or an [ErrInvalid] that names the field. A nil
// map is {}, a nil slice [].
func EncodeJSON(field string, v any) (string, error) {
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Map && r.IsNil():
		return "{}", nil
	case r.Kind() == reflect.Slice && r.IsNil():
		return "[]", nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "", Invalid(field, "must be what JSON can hold")
	}
	return string(raw), CheckJSON(field, raw)
}

// CheckJSON refuses text that jsonb refuses: invalid JSON, and the NUL character. CheckJSON also
// refuses numbers beyond the range of a double, and numbers that jsonb would write out at
// length: jsonb makes 131,000 digits of 9 bytes.
func CheckJSON(field string, raw []byte) error {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return Invalid(field, "must be valid JSON in UTF-8")
	}
	if err := checkNumbers(field, raw); err != nil {
		return err
	}
	for rest := raw; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 {
			return nil
		}
		if bytes.HasPrefix(rest[at:], []byte(`\u0000`)) {
			return Invalid(field, "must not hold the NUL character")
		}
		rest = rest[at+2:] // a backslash is never the last byte of valid JSON
	}
}
