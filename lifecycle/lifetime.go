package lifecycle

import (
	"math"
	"math/rand/v2"
	"time"
)

// lifetime replaces connections that are old, as pgxpool would: it looks at the
// real clock on every acquire and every release for that, which is a third of
// their time; this looks at the monitor's own.
type lifetime struct{ longest, jitter time.Duration }

// expiry is when a connection that is opened now is to be replaced.
func (l lifetime) expiry(now time.Time) int64 {
	if l.longest <= 0 {
		return math.MaxInt64
	}
	d := l.longest
	if l.jitter > 0 {
		d += rand.N(l.jitter)
	}
	return now.Add(d).UnixNano()
}

// expired reports whether the connection is to be closed instead of handed out.
func (m *Monitor) expired(s *slot) bool {
	if s == nil || m.clock.Load() < s.expires {
		return false
	}
	if s.retired.CompareAndSwap(false, true) {
		m.retired.Add(1)
	}
	return true
}

// sweepEvery is how often idle connections are looked at for their age.
const sweepEvery = time.Second

// sweep closes idle connections that are old, so that nobody has to wait for
// their successors, and those that a statement has spoiled, which may keep a lock.
// pgxpool opens those that are missing from its minimum.
func (m *Monitor) sweep() {
	now := m.clock.Load()
	m.mu.Lock()
	old := false
	for _, s := range m.slots {
		s.mu.Lock()
		old = old || !s.held && (s.spoiled || now >= s.expires)
		s.mu.Unlock()
	}
	m.mu.Unlock()
	if !old {
		return
	}
	// It asks PrepareConn about each, which refuses the old ones.
	for _, conn := range m.pool.AcquireAllIdle(m.closing) {
		conn.Release()
	}
}

// Retired returns how many connections were replaced because of their age.
func (m *Monitor) Retired() int64 { return m.retired.Load() }
