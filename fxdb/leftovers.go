package fxdb

import (
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

// leftover is what a statement of the pool leaves on the session in vain: no later statement of
// the caller meets the same session.
type leftover struct {
	taint   sqllex.Taint
	warning string
}

var leftovers = [...]leftover{
	{sqllex.AdvisoryLock, "an advisory lock of the session ends with the statement: the pool closes the connection that holds the lock. " +
		"Take the lock with pg_advisory_xact_lock in InTx, or on a connection of Acquire"},
	{sqllex.Listen, "LISTEN ends with the statement: no notification arrives, because the pool closes the connection. " +
		"Listen with DB.Listen, or on a connection of Acquire"},
	{sqllex.Settings | sqllex.Role | sqllex.Seed, "a SET of the session ends with the statement: the pool makes the session as new for the next statement. " +
		"Use SET LOCAL in InTx, fxdb.OnConnect or ALTER ROLE ... SET for all statements, or a connection of Acquire"},
	{sqllex.Temp, "a temporary object ends with the statement: the pool makes the session as new for the next statement. " +
		"Create the object in InTx with ON COMMIT DROP, or on a connection of Acquire"},
	{sqllex.Prepared, "a PREPARE ends with the statement: the pool makes the session as new for the next statement. " +
		"Leave out PREPARE, because pgx prepares each statement, or use a connection of Acquire"},
	{sqllex.Cursor, "a cursor WITH HOLD ends with the statement: the pool makes the session as new for the next statement. " +
		"Declare the cursor in InTx, or on a connection of Acquire"},
}

// warnOfLeftover warns a client, once for each kind, of what the last statement on conn leaves in
// vain. A statement that leaves nothing costs a look at the connection's facts.
func (db *DB) warnOfLeftover(conn *pgx.Conn) {
	if facts := backend.Of(conn); facts.Cleanup() != backend.NoCleanup {
		db.warnOfText(facts.TaintedBy())
	}
}

// warnOfText warns of what a text leaves in vain.
func (db *DB) warnOfText(sql string) { db.warnOf(taintInVain(sql)) }

func (db *DB) warnOf(taint sqllex.Taint) {
	if taint == 0 {
		return
	}
	for i, l := range leftovers {
		if taint&l.taint != 0 && db.client.markWarned(i) {
			db.core.log.Warn(l.warning, zap.String("client", db.client.name))
		}
	}
}

// markWarned marks a kind of leftovers as warned of, and reports whether the mark is new.
func (c *client) markWarned(kind int) bool {
	mark := uint32(1) << kind
	return c.warned.Or(mark)&mark == 0
}

// warnOfListenInTx warns a client, once, of a LISTEN of a transaction: the commit ends the LISTEN.
func (t *transaction) warnOfListenInTx(conn *pgx.Conn) {
	if facts := backend.Of(conn); facts.Cleanup() != backend.NoCleanup {
		if sql := facts.TaintedBy(); taintInVain(sql)&sqllex.Listen != 0 {
			t.db.warnOfText(sql)
		}
	}
}

// taintInVain returns what a text of one statement leaves for a later statement. A later
// statement of the same text meets the session.
func taintInVain(sql string) sqllex.Taint {
	all := sqllex.Statements(sql)
	if len(all) != 1 {
		return 0
	}
	s := all[0]
	switch s.Kind {
	case sqllex.KindDo: // sqllex does not read the block
		if locks := strings.ToLower(sql); strings.Contains(locks, "advisory_lock") || strings.Contains(locks, "advisory_unlock") {
			return sqllex.AdvisoryLock
		}
		return 0
	case sqllex.KindSet, sqllex.KindListen:
		if beginsWith(s.Text, "reset") || beginsWith(s.Text, "unlisten") { // nothing is lost
			return 0
		}
	case sqllex.KindSelect: // SELECT INTO makes a table in most cases
		return s.Taint &^ sqllex.Temp
	case sqllex.KindExecute, sqllex.KindDeallocate:
		return 0
	}
	return s.Taint
}

// warnOfBatch warns of members that leave in vain what no later member of a batch can use.
func (db *DB) warnOfBatch(b *pgx.Batch) {
	for _, q := range b.QueuedQueries {
		v := scoped.EffectsOf(q.SQL, rewritingOf(q.Arguments) == byNames)
		if v.Taint&(sqllex.AdvisoryLock|sqllex.Listen) != 0 {
			db.warnOfText(q.SQL)
		}
	}
}
