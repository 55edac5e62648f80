package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// slowByTick is the threshold from which the monitor's clock is good enough for the time of
// a statement's beginning: the clock is late by at most a tick, a twentieth.
const slowByTick = 20 * clockTick

// statementBegins returns the time of a statement's beginning, or 0 if nobody asks.
func (m *Monitor) statementBegins() int64 {
	switch slow := m.cfg.SlowQuery; {
	case m.timesStatements.Load():
		return time.Now().UnixNano()
	case slow <= 0:
		return 0
	case slow < slowByTick, m.state.Load() != stateReady: // the clock is not surely kept
		return time.Now().UnixNano()
	}
	return m.clock.Load()
}

// isSlow returns the duration of a statement that began at began, and whether the duration
// is worth a log line. For most statements the monitor's clock proves that the statement was
// fast: took is then 0.
func (m *Monitor) isSlow(began int64) (took time.Duration, slow bool) {
	if began == 0 || m.cfg.SlowQuery <= 0 {
		return 0, false
	}
	// Outside the ready state the clock is not surely kept.
	if threshold := m.cfg.SlowQuery; threshold >= slowByTick && m.state.Load() == stateReady &&
		time.Duration(m.clock.Load()-began) < threshold-clockTick {
		return 0, false
	}
	took = time.Duration(time.Now().UnixNano() - began)
	return took, took >= m.cfg.SlowQuery
}

// logSlow logs a slow statement, without the arguments and without the values in its text.
func (m *Monitor) logSlow(ctx context.Context, s *slot, took time.Duration, err error) {
	h := s.holder()
	m.incidents.count(h.Client, func(i *Incidents) { i.Slow++ })
	fields := []zap.Field{
		zap.String("client", h.Client), zap.String("tenant", h.Tenant),
		zap.String("statement", shown(h.Query, 200)), zap.Duration("took", took.Round(time.Millisecond)),
	}
	// Errors outside these cases may quote an argument or a value.
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
	case errors.As(err, &pgErr):
		fields = append(fields, zap.String("sqlstate", pgErr.Code))
	case s.conn.IsClosed():
		fields = append(fields, zap.NamedError("error", err))
	default:
		fields = append(fields, zap.String("error", "the arguments or the result could not be used"))
	}
	m.log.Warn("slow statement", append(fields, m.logFields(ctx)...)...)
}
