package fxdb

import (
	"strings"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/sqllex"
)

// locks reports whether a text takes or releases an advisory lock of the session.
func locks(sql string) bool {
	if !strings.Contains(sql, "dvisory") && !strings.Contains(sql, "DVISORY") {
		return false
	}
	return sqllex.Classify(sql).Taint&sqllex.AdvisoryLock != 0
}

// noteLock notes an advisory lock of the session that a statement of the transaction takes, or
// releases again.
func (t *transaction) noteLock(sql string) {
	if !locks(sql) {
		return
	}
	for t.outer != nil {
		t = t.outer
	}
	t.locked = !strings.Contains(strings.ToLower(sql), "advisory_unlock")
}

// warnOfLockOfTx warns a client, once, of an advisory lock of the session that the transaction
// has taken and not released: the lock does not outlast the transaction.
func (t *transaction) warnOfLockOfTx() {
	if !t.locked || !t.db.client.markWarned(0) { // the first of leftovers
		return
	}
	t.db.core.log.Warn("an advisory lock of the session ends with the transaction: the pool closes the connection that holds the lock. "+
		"Take the lock with pg_advisory_xact_lock, or on a connection of Acquire", zap.String("client", t.db.client.name))
}
