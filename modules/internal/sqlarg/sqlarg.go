// Package sqlarg turns the values of a call into arguments of a statement.
package sqlarg

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"time"

	"github.com/agentagency/onepool/modules/internal/check"
)

// OrNull returns a zero time as nil: the server's clock decides.
func OrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Texts returns the values as text, never nil, because nil would be null.
func Texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// SHA256 returns the text's SHA-256 in hex.
func SHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// JSON returns v as JSON that jsonb takes, or a [modules.ErrInvalid] that names the field. A nil
// map is {}, a nil slice [].
func JSON(field string, v any) (string, error) {
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Map && r.IsNil():
		return "{}", nil
	case r.Kind() == reflect.Slice && r.IsNil():
		return "[]", nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "", check.Invalid(field, "must be what JSON can hold")
	}
	return string(raw), check.JSON(field, raw)
}
