package backend

import (
	"errors"
	"sync/atomic"

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

// worst is the worst taint so far. A single goroutine writes a worst, and any goroutine may
// read a worst: the pool looks for tainted idle connections.
type worst struct{ taint atomic.Uint32 }

func (w *worst) get() Taint { return Taint(w.taint.Load()) }

func (w *worst) add(taint Taint) {
	if taint > w.get() {
		w.taint.Store(uint32(taint))
	}
}

func (w *worst) forget() {
	if w.get() != Plain {
		w.taint.Store(uint32(Plain))
	}
}

// Text is a text that pgx is about to send.
type Text struct {
	SQL      string
	Args     []any // a pgx.QueryRewriter among Args writes a new text: see [Facts.Rewrites]
	Prepared bool  // to be run later, by a name
}

// Sessions classifies the texts of a pool by the remains on the session. The zero Sessions classifies
// nothing: the pool hands each connection on as the connection came back.
type Sessions struct {
	// Taint, if set, classifies every text before pgx sends the text. single reports that the text
	// is one statement: a single text that the server can't parse taints nothing.
	Taint func(conn *pgx.Conn, text Text) (taint Taint, single bool)

	// Discarded, if set, runs after the pool has sent DISCARD ALL on a connection: fxdb forgets
	// the statements that fxdb has prepared below pgx.
	Discarded func(conn *pgx.Conn)

	// Look, if set, looks behind each use of a connection at what no text shows: the pool
	// closes a connection whose session keeps more than the new session had.
	Look *Look
}

// Taint returns the worst taint of all texts since the last [Facts.Clean]. Any goroutine may
// call Taint.
func (f *Facts) Taint() Taint {
	if f == nil {
		return Plain
	}
	return max(f.left.get(), f.running.get())
}

// Sends notes the taint of a text before pgx sends the text: the answer may be lost. plain
// reports that the text is a single statement that leaves nothing.
func (f *Facts) Sends(text Text) (plain bool) {
	if f == nil || f.sessions.Taint == nil || f.left.get() == Lasting {
		return false
	}
	taint, single := f.sessions.Taint(f.conn, text)
	switch {
	case taint == Plain:
		return single
	case single:
		f.running.add(taint) // pgx reports a text again to prepare the text
	default:
		f.left.add(taint)
	}
	f.taintedBy = text.SQL
	return false
}

// Rewrites notes the taint of a text that no tracer sees: the text of a pgx.QueryRewriter.
// Call Rewrites before pgx sends the text, between the start and the end of the query that
// tracers see.
func (f *Facts) Rewrites(sql string) {
	if f == nil || f.sessions.Taint == nil {
		return
	}
	taint, _ := f.sessions.Taint(f.conn, Text{SQL: sql})
	if taint != Plain {
		f.taintedBy = sql
	}
	f.Worsen(taint)
}

// TaintedBy returns the last text that is not plain. Only the holder may call TaintedBy.
func (f *Facts) TaintedBy() string {
	if f == nil {
		return ""
	}
	return f.taintedBy
}

// Worsen notes a taint that no text shows.
func (f *Facts) Worsen(taint Taint) {
	if f != nil {
		f.left.add(taint)
	}
}

// Settle keeps the taint of the running statement, whatever the answer is.
func (f *Facts) Settle() {
	if f != nil {
		f.left.add(f.running.get())
		f.running.forget()
	}
}

// Answers takes the result of the running statement. prepared reports whether pgx only
// prepared the statement.
func (f *Facts) Answers(err error, prepared bool) {
	if f == nil || f.running.get() == Plain {
		return
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (prepared || isUnparsed(refused)) {
		f.running.forget()
	}
	f.Settle()
}

// isUnparsed reports whether the server's raw parser refused the text, so that no
// statement of the text ran. The same parser reads internal queries of functions and type
// names in values: errors of internal queries and type names have a context.
func isUnparsed(err *pgconn.PgError) bool {
	return err.Code == "42601" && err.Routine == "scanner_yyerror" && err.InternalQuery == "" && err.Where == ""
}

// Discards runs Sessions.Discarded: the session holds no prepared statement any more.
func (f *Facts) Discards() {
	if f != nil && f.sessions.Discarded != nil {
		f.sessions.Discarded(f.conn)
	}
}

// Clean forgets the taint and the prepared names, after the pool has made the session as new.
func (f *Facts) Clean() {
	if f != nil {
		f.left.forget()
		f.running.forget()
		f.named, f.taintedBy = nil, ""
	}
}
