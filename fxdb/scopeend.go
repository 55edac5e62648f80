package fxdb

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// ScopeError refuses a text that runs with a tenant, DB_TENANT_ROLE or limits. The text
// would end the transaction that holds these settings, or change the settings. The pool
// sent no part of the text. errors.Is finds ErrTenantNotCarried in a ScopeError. fxdb does not
// refuse texts on a transaction's Conn.
type ScopeError struct{ Reason string }

func (e *ScopeError) Error() string {
	return "refused with a tenant, DB_TENANT_ROLE or limits: " + e.Reason
}

// Is makes errors.Is find ErrTenantNotCarried.
func (e *ScopeError) Is(target error) bool { return target == ErrTenantNotCarried }

// refuseInScope returns a ScopeError if sql would end or change a scope. sql is the text
// as pgx sends the text, and v is the verdict on sql.
func refuseInScope(conn *pgx.Conn, sql string, v sqllex.Verdict) error {
	if len(sql) > sqllex.MaxText {
		v = sqllex.JudgeWhole(sql)
	}
	switch {
	case v.LocalGuard:
		return &ScopeError{"SET LOCAL of role, session_authorization, row_security, app.* or of how texts are read. For another tenant use a context with its identity (tenant.NewContext)"}
	case v.EndsScope && !v.Broken: // the server refuses a broken text
		return &ScopeError{"a text that begins or ends a transaction. Use Begin or InTx, and Commit, Rollback or Begin (a savepoint) of the transaction"}
	case strings.IndexByte(sql, '\\') >= 0 && !isReadAsJudged(conn):
		return &ScopeError{"a text with a backslash on a session that reads it in another way. Leave standard_conforming_strings on and client_encoding at UTF8"}
	}
	return nil
}

// refuseTextInScope is refuseInScope for a text before pgx rewrites the text. watch refuses
// the text of a rewriter that is not pgx's own.
func refuseTextInScope(conn *pgx.Conn, sql string, args []any) error {
	switch r := rewritingOf(args); r {
	case asItIs, byNames:
		return refuseInScope(conn, sql, verdictOf(sql, r == byNames))
	}
	return nil
}

func refuseBatchInScope(conn *pgx.Conn, b *pgx.Batch) error {
	own := b.QueuedQueries
	if begins(b) {
		own = own[1:]
	}
	for _, q := range own {
		if err := refuseTextInScope(conn, q.SQL, q.Arguments); err != nil {
			return err
		}
	}
	return nil
}
