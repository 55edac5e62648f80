package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// readOnlyEvery is the least time between two resets because of a read-only server. Each
// write to a read-only server fails again, and each reset would close the readers' new
// connections.
const readOnlyEvery = 10 * time.Second

// failedOver checks whether a statement's error concerns all connections: the server has
// become a standby, or refuses writes for a while.
func (m *Monitor) failedOver(conn *pgx.Conn, err error) {
	var pgErr *pgconn.PgError
	s := slotOf(conn)
	if s == nil || !errors.As(err, &pgErr) || pgErr.Code != "25006" {
		return
	}
	// A write in the caller's own read-only transaction fails with the same error. A server
	// reports in_hot_standby since version 14; failedOver believes the error of an older
	// server. A pooler does not pass in_hot_standby on, and a reset of the pool does not
	// renew the pooler's connections.
	readOnly := m.noticeReadOnly(conn)
	if !m.writes || !readOnly && conn.PgConn().ParameterStatus("in_hot_standby") == "off" {
		return
	}
	m.suspectStandby()
	if !readOnly && !m.cfg.Pooler && s.generation == m.generation.Load() && m.mayResetReadOnly() {
		m.reset(s.generation, pgErr.Code)
	}
}

// mayResetReadOnly reports whether readOnlyEvery has passed, and notes the reset.
func (m *Monitor) mayResetReadOnly() bool {
	now, last := time.Now().UnixNano(), m.readOnly.Load()
	return now-last >= int64(readOnlyEvery) && m.readOnly.CompareAndSwap(last, now)
}

// reset closes the connections of a generation, and of all generations before: idle
// connections at once, held connections at their release. An incident hits many
// connections; only the first report resets the pool.
func (m *Monitor) reset(generation int64, code string) {
	if !m.generation.CompareAndSwap(generation, generation+1) {
		return // a different connection has reset the pool since
	}
	m.log.Warn("pool reset: its server is going away or is read-only", zap.String("sqlstate", code), zap.String("database", m.Database()))
	m.pool.Reset()
}

// lose notes, once, a connection that the server or the network has ended. The pool pings
// every remaining connection before the next use. If the server may be going away, watchHealth
// probes the server: an operator may have ended a single backend only.
func (m *Monitor) lose(conn *pgx.Conn) {
	s := slotOf(conn)
	if s == nil || s.lost || !s.hasEnded() {
		return
	}
	s.lost = true
	m.losses.Add(1)
	switch code := s.facts.EndedBy(); code {
	case "57P02": // a crash has ended all connections
		m.reset(s.generation, code)
	case "57P01", "57P03", "":
		if s.generation == m.generation.Load() {
			m.lossOf.Store(s.generation)
			select {
			case m.lossSeen <- struct{}{}:
			default:
			}
		}
	}
}

// hasEnded reports whether the server or the network ended the connection.
func (s *slot) hasEnded() bool {
	return s.socket != nil && (s.socket.ended.Load() || s.socket.end.Said() != nil)
}

// doubted reports, once for each loss, that the pool pings the connection before the pool
// hands the connection out.
func (m *Monitor) doubted(s *slot) bool {
	losses := m.losses.Load()
	if s == nil || s.trusted == losses {
		return false
	}
	s.trusted = losses
	return true
}

// probeAfterLoss resets the pool if the server that ended a connection is going away, has
// gone, or has changed. A probe without an answer in time resets nothing. probeAfterLoss resets
// the generation of the lost connection: after an earlier reset the pool has new connections.
func (m *Monitor) probeAfterLoss(ctx context.Context) {
	generation, was := m.lossOf.Load(), m.server.Load()
	err := m.ask(ctx)
	var pgErr *pgconn.PgError
	switch {
	case err == nil && was != nil && m.server.Load() != was:
		m.reset(generation, "")
	case errors.As(err, &pgErr) && isUnavailable(err):
		m.reset(generation, pgErr.Code)
	case isUnavailable(err) && !errors.Is(err, context.DeadlineExceeded):
		m.reset(generation, "")
	}
}
