package lifecycle

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Taint says what a text may leave on a session for the next holder of the connection.
type Taint uint8

const (
	// Plain is the taint of a text that leaves nothing.
	Plain Taint = iota
	// Resettable is the taint of a text whose remains DISCARD ALL removes. The pool cleans the
	// connection before the next holder.
	Resettable
	// Lasting is the taint of a text whose remains the pool can't name, or that DISCARD ALL
	// does not remove. The pool closes the connection.
	Lasting
)

// Text is a text that pgx is about to send.
type Text struct {
	SQL      string
	Args     []any // a pgx.QueryRewriter among Args writes a new text: see [TaintedBy]
	Prepared bool  // to be run later, by a name
}

// taints is what the texts of a connection have left. The holder owns taints, then the pool.
type taints struct {
	left    Taint // by statements that have ended, and by several statements
	running Taint // by the single statement that runs: nothing, if the server can't parse it
}

// worst returns the worst taint of all texts.
func (t taints) worst() Taint { return max(t.left, t.running) }

// settle keeps the taint of the running statement, whatever the answer is.
func (t *taints) settle() { t.left, t.running = t.worst(), Plain }

// taint runs before pgx sends a text, because the answer may be lost.
func (t tracer) taint(conn *pgx.Conn, text Text) {
	s := slotOf(conn)
	if t.m.cfg.TaintsSession == nil || s == nil || s.taints.left == Lasting {
		return
	}
	if taint, single := t.m.cfg.TaintsSession(conn, text); single {
		s.taints.running = max(s.taints.running, taint) // pgx reports a text again to prepare the text
	} else {
		s.taints.left = max(s.taints.left, taint)
	}
}

// TaintedBy asks Config.TaintsSession about a text that no tracer sees, such as the text of
// a pgx.QueryRewriter. Call TaintedBy before pgx sends the text, between the start and the
// end of the query that tracers see.
func TaintedBy(conn *pgx.Conn, sql string) {
	s := slotOf(conn)
	if s == nil || s.m.cfg.TaintsSession == nil {
		return
	}
	taint, _ := s.m.cfg.TaintsSession(conn, Text{SQL: sql})
	s.taints.left = max(s.taints.left, taint)
}

// settleTaint takes the result of the running statement. prepared reports whether pgx only
// prepared the statement.
func settleTaint(conn *pgx.Conn, err error, prepared bool) {
	s := slotOf(conn)
	if s == nil || s.taints.running == Plain {
		return
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (prepared || isUnparsed(refused)) {
		s.taints.running = Plain
	}
	s.taints.settle()
}

// isUnparsed reports whether the server's raw parser refused the text, so that no
// statement of the text ran. The same parser reads internal queries of functions and type
// names in values: errors of internal queries and type names have a context.
func isUnparsed(err *pgconn.PgError) bool {
	return err.Code == "42601" && err.Routine == "scanner_yyerror" && err.InternalQuery == "" && err.Where == ""
}
