package lifecycle

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ForgetAnswers makes the next look at the pool ask the server.
func (m *Monitor) ForgetAnswers() {
	m.health.lastAnswer.Store(0)
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.checkedAt = time.Time{}
}

// ProbeTimeout is how long a probe of the server takes at most.
const ProbeTimeout = probeTimeout

// SetProbeTimeout changes how long a probe of the server takes at most.
func (m *Monitor) SetProbeTimeout(d time.Duration) { m.health.timeout.Store(int64(d)) }

// Clock is the monitor's own.
func (m *Monitor) Clock() time.Time { return time.Unix(0, m.clock.Load()) }

// SetClockBack does to the monitor's clock what nobody who keeps the clock for so long would do.
func (m *Monitor) SetClockBack(d time.Duration) { m.clock.Add(-int64(d)) }

// Age makes a hold longer.
func Age(conn *pgxpool.Conn, by time.Duration) {
	s := slotOf(conn.Conn())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since -= int64(by)
}
