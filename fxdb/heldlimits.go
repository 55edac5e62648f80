package fxdb

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
)

// undoLimits restores the limits with which the connection began.
var undoLimits = "reset " + strings.Join(timeoutSettings, "; reset ")

// holdLimits sets the client's own limits on a connection until the connection's release, if
// the client has limits.
func (db *DB) holdLimits(ctx context.Context, conn *pgx.Conn) error {
	sql, limits := db.client.settings.Load().Held()
	if sql == "" {
		return nil
	}
	backend.Of(conn).UndoWith(undoLimits)
	if _, err := conn.PgConn().ExecParams(ctx, sql, limits, nil, nil, nil).Close(); err != nil {
		return &limitsError{err}
	}
	return nil
}

// limitsError is the error of a connection that did not take the client's limits. The caller's
// statement was not sent.
type limitsError struct{ error }

func (e *limitsError) Error() string { return "set the client's limits: " + e.error.Error() }
func (e *limitsError) Unwrap() error { return e.error }

// runsAlone reports whether a statement has a scope only for the client's own limits, and can't
// run after a scope: the server refuses the statement in a transaction block (VACUUM).
func (db *DB) runsAlone(s *scoped.Scope, sql string, args []any) bool {
	if s.IsZero() || s.HasTenant() || db.core.cfg.TenantRole != "" || db.core.cfg.pooled() {
		return false
	}
	r := rewritingOf(args)
	if r != asItIs && r != byNames {
		return false
	}
	v := scoped.EffectsOf(sql, r == byNames)
	return v.Alone && v.Statements == 1
}

// scopeOn returns the scope of a statement on conn. The scope is zero if the statement runs
// alone: conn then has the client's limits.
func (db *DB) scopeOn(ctx context.Context, conn *pgx.Conn, s *scoped.Scope, sql string, args []any) (*scoped.Scope, error) {
	if !db.runsAlone(s, sql, args) {
		return s, nil
	}
	return &scoped.Scope{}, db.holdLimits(ctx, conn)
}

// execOn runs a statement on conn: after the scope, or alone on a connection with the client's
// limits. last reports whether the caller gives conn back.
func (db *DB) execOn(ctx context.Context, conn *pgx.Conn, s *scoped.Scope, last bool, sql string, args []any) (pgconn.CommandTag, error) {
	s, err := db.scopeOn(ctx, conn, s, sql, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	if s.IsZero() {
		scoped.CancelAtDeadline(ctx, conn)
		tag, err := conn.Exec(ctx, sql, args...)
		return tag, scoped.Ended(conn, err)
	}
	return db.execScoped(ctx, conn, s, last, sql, args)
}
