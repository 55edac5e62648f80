package fxdb

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// ScopeError refuses a text with a tenant, DB_TENANT_ROLE or limits: it would end the
// transaction that these were set for, or set them to something else. Nothing was sent. A
// ScopeError is an ErrUnscoped. Texts on a transaction's Conn are not refused.
type ScopeError struct{ Reason string }

func (e *ScopeError) Error() string {
	return "refused with a tenant, DB_TENANT_ROLE or limits: " + e.Reason
}

// Is makes errors.Is find ErrUnscoped.
func (e *ScopeError) Is(target error) bool { return target == ErrUnscoped }

// refuseInScope refuses what a scope can't stand before. v is the verdict on sql, which is
// the text as it is sent.
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

// refuseTextInScope is refuseInScope for a text that pgx rewrites. What a rewriter that is
// not pgx's own writes is refused when it is there: see watch.
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
