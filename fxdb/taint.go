package fxdb

import (
	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/lifecycle"
)

// spoils reports whether the pool must close the connection after a text. A text that is
// not plain may leave session state for the connection's next user.
func spoils(conn *pgx.Conn, text lifecycle.Text) (yes, single bool) {
	rewriting := rewritingOf(text.Args)
	switch rewriting {
	case watched:
		return false, false // the pool asks about the text when the rewriter has written the text
	case unseen:
		return true, false
	}
	v := verdictOf(text.SQL, rewriting == byNames)
	if text.Prepared && v.EndsScope {
		return true, false // in a scope the name alone would not show the end of the scope
	}
	return !v.Plain() || !isReadAsJudged(conn), v.Statements == 1
}

// needsSession are the taints of texts that need a server session beyond the transaction,
// or that leave state on a session that a pooler shares.
const needsSession = sqllex.Settings | sqllex.Role | sqllex.Listen | sqllex.Prepared | sqllex.Temp | sqllex.AdvisoryLock |
	sqllex.Cursor | sqllex.Block | sqllex.Function | sqllex.Discard | sqllex.Library | sqllex.Unreadable

// leavesSession reports whether a text can't go through a transaction pooler.
func leavesSession(sql string, args []any) bool {
	return verdictOf(sql, rewritingOf(args) == byNames).Taint&needsSession != 0
}
