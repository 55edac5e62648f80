package lifecycle

import (
	"context"
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

// failedOver looks at an error of a statement for what concerns all connections: the
// server has become a standby, or refuses writes for a while.
func (m *Monitor) failedOver(conn *pgx.Conn, err error) {
	var pgErr *pgconn.PgError
	s := slotOf(conn)
	if s == nil || !errors.As(err, &pgErr) || pgErr.Code != "25006" {
		return
	}
	// A write in a read-only transaction of the caller's own says the same. The
	// server reports what it is since version 14; an older one is believed. A pooler
	// does not pass that on, and its own connections are the ones to renew.
	readOnly := m.noticeReadOnly(conn)
	if !m.writes || !readOnly && conn.PgConn().ParameterStatus("in_hot_standby") == "off" {
		return
	}
	m.suspectStandby()
	if !readOnly && !m.cfg.Pooler && s.generation == m.generation.Load() && m.mayResetReadOnly() {
		m.reset(s.generation, pgErr.Code)
	}
}

// mayResetReadOnly takes the turn, where it is time.
func (m *Monitor) mayResetReadOnly() bool {
	now, last := time.Now().UnixNano(), m.readOnly.Load()
	return now-last >= int64(readOnlyEvery) && m.readOnly.CompareAndSwap(last, now)
}

// reset closes the connections of a generation, and all before: idle ones at once,
// those in use when they come back. An incident meets many connections; only the first
// to tell of it resets the pool.
func (m *Monitor) reset(generation int64, code string) {
	if !m.generation.CompareAndSwap(generation, generation+1) {
		return // it was reset since
	}
	m.log.Warn("pool reset: its server is going away or is read-only", zap.String("sqlstate", code), zap.String("database", m.Database()))
	m.pool.Reset()
}

// lose takes note, once, of a connection that the server or the network has ended.
// Every other one is asked whether it lives before its next use, and where the server may
// be going away it is looked at: who ends one backend leaves the others alone.
func (m *Monitor) lose(conn *pgx.Conn) {
	s := slotOf(conn)
	if s == nil || s.lost || !s.hasEnded() {
		return
	}
	s.lost = true
	m.losses.Add(1)
	switch code := EndedBy(conn); code {
	case "57P02": // a crash has ended all of them
		m.reset(s.generation, code)
	case "57P01", "57P03", "":
		if s.generation == m.generation.Load() {
			m.lossOf.Store(s.generation)
			select {
			case m.lossTold <- struct{}{}:
			default:
			}
		}
	}
}

// hasEnded reports whether the other side ended the connection.
func (s *slot) hasEnded() bool {
	return s.socket != nil && (s.socket.ended.Load() || s.socket.said.Load() != nil)
}

// doubted reports, once for each loss, that a connection is to be asked whether it
// lives before it is handed out.
func (m *Monitor) doubted(conn *pgx.Conn) bool {
	s, losses := slotOf(conn), m.losses.Load()
	if s == nil || s.trusted == losses {
		return false
	}
	s.trusted = losses
	return true
}

// lookAfterLoss resets the pool where the server that ended a connection is going away,
// has gone, or is another than before. No answer in time says neither. The look resets the
// generation of the lost connection: after an earlier reset the pool has new connections already.
func (m *Monitor) lookAfterLoss(ctx context.Context) {
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

// startedAt tells one server from another, and from itself before a restart.
const startedAt = "extract(epoch from pg_postmaster_start_time())::text"

// meeting is the server that a look has met: its address, and when it started, as it
// says itself.
type meeting struct{ address, started string }

// meet takes note of the server that a look has met. Where it is another than before,
// or has restarted, every connection is asked whether it lives before its next use.
func (m *Monitor) meet(conn *pgx.Conn, started string) {
	met, was := meeting{conn.PgConn().Conn().RemoteAddr().String(), started}, m.server.Load()
	if was != nil && *was == met {
		return
	}
	if m.server.CompareAndSwap(was, &met) && was != nil {
		m.losses.Add(1)
	}
}
