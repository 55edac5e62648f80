package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The server's settings that carry an identity for the length of a transaction. Policies read
// the settings with current_setting(name, true).
const (
	TenantSetting  = "app.current_tenant"
	UserSetting    = "app.current_user"
	SessionSetting = "app.current_session"
)

// MaxLength is the longest value of an identity's field, in bytes.
const MaxLength = 255

// ErrInvalid matches every [InvalidError] in errors.Is.
var ErrInvalid = errors.New("invalid identity")

// InvalidError names the bad field of an [Identity]. The error does not hold the value.
type InvalidError struct {
	Field  string // "tenant", "user" or "session"
	Reason string
}

// Error names the field and the reason.
func (e *InvalidError) Error() string { return "invalid identity: " + e.Field + " " + e.Reason }

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Identity is the tenant, the user and the session of a request. Tenant is required; User and
// Session may be empty.
type Identity struct {
	Tenant, User, Session string
}

// Validate returns an *[InvalidError] if Tenant is blank, or if a field is longer than
// [MaxLength] bytes, is not UTF-8, or holds an invisible character: a NUL byte, another control
// character, a line separator or a character without a width. Two names that differ by an
// invisible character would read the same, and PostgreSQL's text can't hold NUL.
func (id Identity) Validate() error {
	if strings.TrimSpace(id.Tenant) == "" {
		return &InvalidError{"tenant", "is blank"}
	}
	for _, f := range [...]struct{ name, value string }{{"tenant", id.Tenant}, {"user", id.User}, {"session", id.Session}} {
		if len(f.value) <= MaxLength && isPrintableASCII(f.value) { // most values
			continue
		}
		switch {
		case len(f.value) > MaxLength:
			return &InvalidError{f.name, fmt.Sprintf("is longer than %d bytes", MaxLength)}
		case strings.ContainsRune(f.value, 0):
			return &InvalidError{f.name, "holds a NUL byte"}
		case !utf8.ValidString(f.value):
			return &InvalidError{f.name, "is not valid UTF-8"}
		case strings.ContainsFunc(f.value, isInvisible):
			return &InvalidError{f.name, "holds a control character, a line separator or a character without a width"}
		}
	}
	return nil
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// scopeKey holds an Identity or a systemReason: the innermost value counts.
type scopeKey struct{}

type systemReason string

// NewContext returns a context with the identity id. A statement checks id: a bad id fails the
// statement with an *[InvalidError], and nothing is sent.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, scopeKey{}, id)
}

// FromContext returns the identity in ctx, and false for a context without an identity or a
// context of [System].
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(scopeKey{}).(Identity)
	return id, ok
}

// System returns a context for work that belongs to no tenant: an identity in ctx no longer
// counts, and clients that require a tenant accept the context. The statement still runs as
// the pool's restricted role, and policies show the statement no tenant's rows. The log has
// the reason. With a blank reason the identity in ctx does not count either, and clients that
// require a tenant refuse the statement.
func System(ctx context.Context, reason string) context.Context {
	if strings.TrimSpace(reason) == "" {
		reason = blankReason
	}
	return context.WithValue(ctx, scopeKey{}, systemReason(reason))
}

// blankReason stands for every blank reason.
const blankReason = " "

// SystemReason returns the reason of [System], and true. For a blank reason SystemReason returns
// a space and false, and for any other context the empty string and false.
func SystemReason(ctx context.Context) (string, bool) {
	reason, ok := ctx.Value(scopeKey{}).(systemReason)
	return string(reason), ok && reason != blankReason
}
