package lifecycle

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// readOnlyEvery is the least time between two resets because the server is
// read-only. While it stays so each write says it again, and the readers' new
// connections would go each time.
const readOnlyEvery = 10 * time.Second

// failedOver resets the pool when an error says that the server behind all its
// connections is going away or has become a standby. Idle connections are closed
// at once, those in use when they come back.
//
// An incident meets many connections; the pool is reset once for all that were
// open when it was noticed first.
func (m *Monitor) failedOver(conn *pgx.Conn, err error) {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return
	}
	switch pgErr.Code {
	case "57P01", "57P02", "57P03": // shutting down, crashed, not accepting connections
	case "25006":
		// A write in a read-only transaction of the caller's own says the same. The
		// server reports what it is since version 14; an older one is believed. A pooler
		// does not pass that on, and its own connections are the ones to renew.
		if !m.writes || conn.PgConn().ParameterStatus("in_hot_standby") == "off" {
			return
		}
		m.suspectStandby()
		if m.cfg.Pooler {
			return
		}
	default:
		return
	}
	s := slotOf(conn)
	if s == nil {
		return
	}
	generation := m.generation.Load()
	if s.generation == generation && pgErr.Code == "25006" && !m.mayResetReadOnly() {
		return
	}
	if s.generation != generation || !m.generation.CompareAndSwap(generation, generation+1) {
		return // this one was opened before the last reset
	}
	m.log.Warn("pool reset: its server is going away or is read-only", zap.String("sqlstate", pgErr.Code), zap.String("database", m.Database()))
	m.pool.Reset()
}

// mayResetReadOnly takes the turn, where it is time.
func (m *Monitor) mayResetReadOnly() bool {
	now, last := time.Now().UnixNano(), m.readOnly.Load()
	return now-last >= int64(readOnlyEvery) && m.readOnly.CompareAndSwap(last, now)
}
