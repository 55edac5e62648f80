package lifecycle

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ForgetAnswers makes the next assessment of the pool ask the server.
func (m *Monitor) ForgetAnswers() {
	m.health.lastAnswer.Store(0)
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.checkedAt = time.Time{}
}

// OverSocket puts the monitor's socket over a network connection.
func OverSocket(conn net.Conn) net.Conn { return &socket{Conn: conn, owner: newSockets(nil)} }

// ProbeTimeout is how long a probe of the server takes at most.
const ProbeTimeout = probeTimeout

// SetProbeTimeout changes how long a probe of the server takes at most.
func (m *Monitor) SetProbeTimeout(d time.Duration) { m.health.timeout.Store(int64(d)) }

// Clock is the monitor's own.
func (m *Monitor) Clock() time.Time { return time.Unix(0, m.clock.Load()) }

// SetClockBack does to the monitor's clock what nobody who keeps the clock for so long would do.
func (m *Monitor) SetClockBack(d time.Duration) { m.clock.Add(-int64(d)) }

// Stock checks for old and for tainted idle connections, as the sweep does.
func (m *Monitor) Stock() (tainted bool) {
	_, tainted, _ = m.stock()
	return tainted
}

// Age makes a hold longer.
func Age(conn *pgxpool.Conn, by time.Duration) {
	s := slotOf(conn.Conn())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since -= int64(by)
}

// MendAfter shortens the waits for what an operator must mend.
func (m *Monitor) MendAfter(wait time.Duration) {
	m.startWaits.mend, m.startWaits.mendMost = wait, wait
}

// StartPause is the wait after the n-th attempt to start that failed with err, and what
// the log says of it.
func StartPause(err error, n int) (wait time.Duration, says string) {
	b := newStartBackoff(defaultStartWaits)
	for range n {
		wait = b.next(err)
	}
	return wait, startTrouble(err)
}

// ProberAttempts is how often the prober has dialled, and whether the breaker is open.
func (m *Monitor) ProberAttempts() (n int64, open bool) {
	return m.breaker.attempts.Load(), m.breaker.outage.Load() != nil
}

// ProbeOver probes the server of a connection, as a probe does.
func (m *Monitor) ProbeOver(ctx context.Context, conn *pgx.Conn) error { return m.probeOver(ctx, conn) }

// ProbeAfterLoss probes the server now, as the monitor does after a loss.
func (m *Monitor) ProbeAfterLoss(ctx context.Context) { m.probeAfterLoss(ctx) }

// Listening is how many connections are held by somebody who waits for notifications.
func (m *Monitor) Listening() (n int) {
	for _, s := range m.heldSlots() {
		if s.listening() {
			n++
		}
	}
	return n
}

// Shedder is the shedder of a pool, on the test's clock.
type Shedder struct{ s *shedder }

// NewShedder makes a Shedder.
func NewShedder(target, interval time.Duration) Shedder { return Shedder{newShedder(target, interval)} }

// Join adds a waiter.
func (s Shedder) Join(client string, shed func(error)) (leave func()) {
	w := s.s.join(client, shed)
	return func() { s.s.leave(client, w) }
}

// Serve notes a caller that waited.
func (s Shedder) Serve(client string, waited time.Duration) {
	if waited == 0 {
		s.s.serve(client, nil)
		return
	}
	s.s.serve(client, &queuedCaller{since: time.Now().Add(-waited)})
}

// Judge judges the queues.
func (s Shedder) Judge(now time.Time, away bool) { s.s.judge(now, away) }

// MayReport is mayReport.
var MayReport = mayReport

// AskAll asks all hosts at the addresses, one of which has answered lately, and returns the
// silent addresses.
func AskAll(ctx context.Context, addresses []string, answered string, ask func(address string) bool) map[string]bool {
	var h hosts
	h.note(answered, true)
	var names []host
	for _, address := range addresses {
		names = append(names, host{address: address})
	}
	return h.askAll(ctx, names, func(_ context.Context, name host) bool { return ask(name.address) })
}

// AcquireIsBounded acquires, releases, and reports whether the acquire made its bound: a timer and
// allocations.
func (m *Monitor) AcquireIsBounded(ctx context.Context) (bool, error) {
	a := &acquisition{Context: ctx, m: m}
	defer a.end()
	conn, err := m.pool.Acquire(a)
	if err != nil {
		return false, err
	}
	m.hold(conn.Conn(), a)
	conn.Release()
	return a.bound.Load() != nil, nil
}
