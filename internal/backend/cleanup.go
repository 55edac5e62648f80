package backend

import (
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Cleanup says what the pool must do with a connection before the next holder, for what a text may
// leave on the session. A session that needs a cleanup is tainted.
type Cleanup uint8

const (
	// NoCleanup is the cleanup of a text that leaves nothing.
	NoCleanup Cleanup = iota
	// Reset is the cleanup of a text whose remains DISCARD ALL removes.
	Reset
	// Close is the cleanup of a text whose remains the pool can't name, or that DISCARD ALL does
	// not remove: the pool closes the connection.
	Close
)

// worst is the most thorough cleanup of the texts so far. A single goroutine writes a worst, and any
// goroutine may read a worst: the pool looks for tainted idle connections.
type worst struct{ cleanup atomic.Uint32 }

func (w *worst) get() Cleanup { return Cleanup(w.cleanup.Load()) }

func (w *worst) add(cleanup Cleanup) {
	if cleanup > w.get() {
		w.cleanup.Store(uint32(cleanup))
	}
}

func (w *worst) forget() {
	if w.get() != NoCleanup {
		w.cleanup.Store(uint32(NoCleanup))
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
	// Cleanup, if set, classifies every text before pgx sends the text. single reports that the text
	// is one statement: a single text that the server can't parse needs no cleanup.
	Cleanup func(conn *pgx.Conn, text Text) (cleanup Cleanup, single bool)

	// Discarded, if set, runs after the pool has sent DISCARD ALL on a connection: fxdb forgets
	// the statements that fxdb has prepared below pgx.
	Discarded func(conn *pgx.Conn)

	// Check, if set, asks after each use of a connection for what no text shows: the pool
	// closes a connection whose session keeps more than the new session had.
	Check *SessionCheck
}

// Cleanup returns the cleanup that the texts since the last [Facts.Cleaned] need. Any goroutine may
// call Cleanup.
func (f *Facts) Cleanup() Cleanup {
	if f == nil {
		return NoCleanup
	}
	return max(f.left.get(), f.running.get())
}

// Sends notes the cleanup of a text before pgx sends the text: the answer may be lost. plain
// reports that the text is a single statement that leaves nothing.
func (f *Facts) Sends(text Text) (plain bool) {
	if f == nil || f.sessions.Cleanup == nil || f.left.get() == Close {
		return false
	}
	cleanup, single := f.sessions.Cleanup(f.conn, text)
	switch {
	case cleanup == NoCleanup:
		return single
	case single:
		f.running.add(cleanup) // pgx reports a text again to prepare the text
	default:
		f.left.add(cleanup)
	}
	f.taintedBy = text.SQL
	return false
}

// Rewrites notes the cleanup of a text that no tracer sees: the text of a pgx.QueryRewriter.
// Call Rewrites before pgx sends the text, between the start and the end of the query that
// tracers see.
func (f *Facts) Rewrites(sql string) {
	if f == nil || f.sessions.Cleanup == nil {
		return
	}
	cleanup, _ := f.sessions.Cleanup(f.conn, Text{SQL: sql})
	if cleanup != NoCleanup {
		f.taintedBy = sql
	}
	f.Worsen(cleanup)
}

// TaintedBy returns the last text that needs a cleanup. Only the holder may call TaintedBy.
func (f *Facts) TaintedBy() string {
	if f == nil {
		return ""
	}
	return f.taintedBy
}

// Worsen notes a cleanup for remains that no text shows.
func (f *Facts) Worsen(cleanup Cleanup) {
	if f != nil {
		f.left.add(cleanup)
	}
}

// Settle keeps the cleanup of the running statement, whatever the answer is.
func (f *Facts) Settle() {
	if f != nil {
		f.left.add(f.running.get())
		f.running.forget()
	}
}

// Answers takes the result of the running statement. prepared reports whether pgx only
// prepared the statement.
func (f *Facts) Answers(err error, prepared bool) {
	if f == nil || f.running.get() == NoCleanup {
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

// Cleaned forgets the cleanup and the prepared names, after the pool has made the session as new.
func (f *Facts) Cleaned() {
	if f != nil {
		f.left.forget()
		f.running.forget()
		f.named, f.taintedBy = nil, ""
	}
}
