package check

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// JSON refuses text that jsonb refuses: invalid JSON, and the NUL character. JSON also
// refuses numbers beyond the range of a double, and numbers that jsonb would write out at
// length: jsonb makes 131,000 digits of 9 bytes.
func JSON(field string, raw []byte) error {
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
