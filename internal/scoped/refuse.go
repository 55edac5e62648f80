package scoped

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// Error is fxdb.ScopeError. An Error refuses a text that runs with a tenant, DB_TENANT_ROLE or
// limits. The text would end the transaction that holds these settings, or change the settings.
// The flight sent no part of the text. errors.Is finds ErrTenantNotCarried in an Error.
type Error struct{ Reason string }

func (e *Error) Error() string {
	return "refused with a tenant, DB_TENANT_ROLE or limits: " + e.Reason
}

// Is makes errors.Is find ErrTenantNotCarried.
func (e *Error) Is(target error) bool { return target == ErrTenantNotCarried }

// Guard is the set of texts that a scope refuses.
type Guard uint8

// The guards. Every guard refuses the texts of the guard before.
const (
	NoGuard       Guard = iota
	GuardEnd            // texts that begin or end a transaction
	GuardSettings       // texts that set the role, the tenant, or the server's reading of texts
)

// Refuse returns an *Error if sql would end or change a scope. sql is the text as pgx sends the
// text, and v are the effects of sql. A flight and a batch call Refuse for their own texts.
func (g Guard) Refuse(conn *pgx.Conn, sql string, v sqllex.Effects) error {
	if g == NoGuard {
		return nil
	}
	if len(sql) > sqllex.MaxText {
		v = sqllex.ClassifyWhole(sql)
	}
	switch {
	case v.SetsGuarded && g == GuardSettings:
		return &Error{"a text that sets or resets role, session_authorization, row_security, app.* or the server's reading of texts, or calls set_config with a name that is no plain literal. For another tenant use a context with its identity (tenant.NewContext)"}
	case v.EndsScope && !v.Broken: // the server refuses a broken text
		return &Error{"a text that begins or ends a transaction. Use Begin or InTx, and Commit, Rollback or Begin (a savepoint) of the transaction"}
	case strings.IndexByte(sql, '\\') >= 0 && !ReadAsClassified(conn):
		return &Error{"the text has a backslash, and the session reads backslashes in a different way: leave standard_conforming_strings on and client_encoding at UTF8"}
	}
	return nil
}
