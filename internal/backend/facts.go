package backend

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// key finds a connection's facts in pgconn's CustomData. CustomData belongs to the holder of
// the connection, and needs no lock.
const key = "onepool.backend"

// Facts are the facts of a single connection of a pool. Facts belong to the connection's
// holder, then to the pool. A nil *Facts, of a connection of no pool, knows nothing and notes
// nothing.
type Facts struct {
	conn       *pgx.Conn
	end        *End // nil: not known
	sessions   Sessions
	reads      func()
	undo       string
	named      map[string]string // texts of what a holder has prepared by name
	unprepared atomic.Bool
	left       worst // by statements that have ended, and by several statements
	running    worst // by the single statement that runs: nothing, if the server can't parse it
	taintedBy  string
	check      pendingCheck
	tail       *Tail          // nil: the check travels alone
	writes     *atomic.Uint64 // of the socket; nil: not known
}

// Note makes the facts of a new connection. end is the end of the connection's socket, or nil.
// reads, if not nil, runs when a goroutine begins to read rows.
func Note(conn *pgx.Conn, end *End, sessions Sessions, reads func()) *Facts {
	f := &Facts{conn: conn, end: end, sessions: sessions, reads: reads}
	conn.PgConn().CustomData()[key] = f
	return f
}

// Of returns the facts of a connection, or nil for a connection of no pool.
func Of(conn *pgx.Conn) *Facts {
	f, _ := conn.PgConn().CustomData()[key].(*Facts)
	return f
}

// Fit reports whether the next holder may have the connection as it is: the server owes no
// answer to a check, no text has tainted the session, and no text of [Facts.UndoWith] waits.
func (f *Facts) Fit() bool {
	return f == nil || f.check.due == 0 && f.undo == "" && f.Cleanup() == NoCleanup
}

// CountsWrites has [Facts.Writes] return what the socket of the connection counts.
func (f *Facts) CountsWrites(writes *atomic.Uint64) {
	if f != nil {
		f.writes = writes
	}
}

// Writes returns how often the process has written to the connection. A use of the connection
// that passes every method of fxdb by changes the count. known is false without a count.
func (f *Facts) Writes() (n uint64, known bool) {
	if f == nil || f.writes == nil {
		return 0, false
	}
	return f.writes.Load(), true
}

// Reads notes that the calling goroutine begins to read rows.
func (f *Facts) Reads() {
	if f != nil && f.reads != nil {
		f.reads()
	}
}

// UndoWith has the pool run sql before the next holder gets the connection. If sql fails, the
// pool closes the connection.
func (f *Facts) UndoWith(sql string) {
	if f != nil {
		f.undo = sql
	}
}

// Undo runs the text of UndoWith, once. Undo reports false if the text failed.
func (f *Facts) Undo(ctx context.Context) bool {
	if f == nil || f.undo == "" {
		return true
	}
	sql := f.undo
	f.undo = ""
	_, err := f.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err == nil
}

// Prepares notes that pgx prepares sql under name.
func (f *Facts) Prepares(name, sql string) {
	if f == nil || name == "" || name == sql || isCached(name) {
		return
	}
	if f.named == nil {
		f.named = make(map[string]string)
	}
	f.named[name] = sql
}

// isCached reports whether pgx or onepool chose the name for a cached statement.
func isCached(name string) bool {
	return strings.HasPrefix(name, "stmtcache_") || strings.HasPrefix(name, "onepool_")
}

// PreparedAs returns the text of the statement that a holder has asked pgx to prepare on the
// connection by name.
func (f *Facts) PreparedAs(name string) (sql string, ok bool) {
	if f != nil {
		sql, ok = f.named[name]
	}
	return sql, ok
}

// LosePreparation notes that the connection broke while pgx prepared a statement.
func (f *Facts) LosePreparation() {
	if f != nil {
		f.unprepared.Store(true)
	}
}

// LostInPreparation reports whether the connection broke while pgx prepared a statement: the
// statement did not run.
func (f *Facts) LostInPreparation() bool { return f != nil && f.unprepared.Load() }
