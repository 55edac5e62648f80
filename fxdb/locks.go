package fxdb

import (
	"strings"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/sqllex"
)

// warnOfLock warns a client, once, of an advisory lock of the session that a statement of
// the pool takes or releases. The lock ends with the statement, because no other holder
// gets the connection, and a later unlock meets another session.
func (db *DB) warnOfLock(sql string) {
	if !strings.Contains(sql, "advisory") && !strings.Contains(sql, "ADVISORY") || db.client.lockWarned.Load() {
		return
	}
	if sqllex.Classify(sql).Taint&sqllex.AdvisoryLock == 0 || db.client.lockWarned.Swap(true) {
		return
	}
	db.core.log.Warn("an advisory lock of the session ends with the statement: the pool closes the connection that holds the lock. "+
		"Take the lock with pg_advisory_xact_lock in InTx, or on a connection of Acquire", zap.String("client", db.client.name))
}
