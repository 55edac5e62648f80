package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The server's settings that carry an identity for the length of a transaction.
// Policies read them with current_setting(name, true).
const (
	TenantSetting  = "app.current_tenant"
	UserSetting    = "app.current_user"
	SessionSetting = "app.current_session"
)

// MaxLength is the longest value of an identity's field, in bytes.
const MaxLength = 255

// ErrInvalid is what an InvalidError is.
var ErrInvalid = errors.New("invalid identity")

// InvalidError names the field of an Identity that can't be used. The value is
// not repeated.
type InvalidError struct {
	Field  string // "tenant", "user" or "session"
	Reason string
}

// Error says which field and why.
func (e *InvalidError) Error() string { return "invalid identity: " + e.Field + " " + e.Reason }

// Is reports whether target is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Identity is who is asking. Tenant is required; User and Session may be empty.
type Identity struct {
	Tenant, User, Session string
}

// Validate returns an *InvalidError when Tenant is blank, or when a field is
// longer than MaxLength bytes, is not UTF-8 or holds a NUL byte, which
// PostgreSQL's text can't, or another character that nobody sees: a control character, a
// line separator or one without a width. Two tenants whose names differ by such a
// character would read the same.
func (id Identity) Validate() error {
	if strings.TrimSpace(id.Tenant) == "" {
		return &InvalidError{"tenant", "is blank"}
	}
	for _, f := range []struct{ name, value string }{{"tenant", id.Tenant}, {"user", id.User}, {"session", id.Session}} {
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

func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// scopeKey holds an Identity or a systemReason: the innermost of the two counts.
type scopeKey struct{}

type systemReason string

// NewContext returns a context that asks in the name of id. id is checked where
// it is used: a bad one fails the statement with an *InvalidError before
// anything is sent.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, scopeKey{}, id)
}

// FromContext returns the identity in ctx. It returns false where there is none
// and in a context made by System.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(scopeKey{}).(Identity)
	return id, ok
}

// System returns a context for work that belongs to no tenant: an identity in
// ctx no longer counts, and clients that require a tenant accept it. The
// statement still runs as the pool's restricted role: policies let it see only
// what they show to nobody. reason says why, for the log. A blank one
// is no reason: the identity in ctx does not count, and clients that require a
// tenant refuse the statement all the same.
func System(ctx context.Context, reason string) context.Context {
	if strings.TrimSpace(reason) == "" {
		reason = blankReason
	}
	return context.WithValue(ctx, scopeKey{}, systemReason(reason))
}

// blankReason stands for every blank reason, so that it differs from none.
const blankReason = " "

// SystemReason returns the reason given to System, and true. A blank reason comes
// back as one space, with false; in other contexts there is neither.
func SystemReason(ctx context.Context) (string, bool) {
	reason, ok := ctx.Value(scopeKey{}).(systemReason)
	return string(reason), ok && reason != blankReason
}
