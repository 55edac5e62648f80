package fxdb

import (
	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/tenant"
)

// cleanupOf returns the cleanup that the connection needs after a text, before the next user.
func cleanupOf(conn *pgx.Conn, text backend.Text) (cleanup backend.Cleanup, single bool) {
	rewriting := rewritingOf(text.Args)
	switch rewriting {
	case watched:
		return backend.NoCleanup, false // the pool asks about the text when the rewriter has written the text
	case unseen:
		return backend.Close, false
	}
	v := scoped.EffectsOf(text.SQL, rewriting == byNames)
	switch {
	case text.Prepared && v.EndsScope:
		return backend.Close, false // in a scope the name alone would not show the end of the scope
	case !scoped.ReadAsClassified(conn):
		return backend.Close, v.Statements == 1
	case v.Plain():
		return backend.NoCleanup, v.Statements == 1
	case v.Taint&^discarded == 0:
		return backend.Reset, v.Statements == 1
	}
	return backend.Close, v.Statements == 1
}

// sessions returns how the pool judges what statements leave on a session.
func (c *core) sessions() backend.Sessions {
	s := backend.Sessions{Cleanup: c.cleanupOf, Discarded: scoped.Forget}
	if c.cfg.SessionCheck {
		s.Check = backend.NewSessionCheck(tenant.TenantSetting, tenant.UserSetting, tenant.SessionSetting, scoped.TraceIDSetting)
	}
	return s
}

// discarded are the taints whose remains DISCARD ALL removes (PostgreSQL's documentation,
// DISCARD). sqllex can't read the body of a function, a procedure or a DO. Such a body may
// leave what DISCARD ALL does not remove, for example a seed or a loaded library. Sent
// notifications of a channel may wait in pgx.
const discarded = sqllex.Settings | sqllex.Prepared | sqllex.Temp | sqllex.AdvisoryLock | sqllex.Cursor |
	sqllex.Definition | sqllex.Discard

// leavesSession reports whether a text can't go through a transaction pooler.
func leavesSession(sql string, args []any) bool {
	return scoped.LeavesSession(scoped.EffectsOf(sql, rewritingOf(args) == byNames))
}
