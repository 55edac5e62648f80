package lifecycle

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
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

func (m *Monitor) isOld(s *slot) bool { return s != nil && m.clock.Load() >= s.expires }

// retireGrace is how long an old connection that the pool's minimum needs is still
// handed out, at most: sweep opens its successor meanwhile.
const retireGrace = 5 * time.Second

// expired reports whether the connection is to be closed instead of handed out.
func (m *Monitor) expired(ctx context.Context, s *slot) bool {
	if !m.isOld(s) || ctx.Value(sparing{}) != nil {
		return false
	}
	if m.clock.Load() < s.expires+int64(retireGrace) && m.pool.Stat().TotalConns() <= m.cfg.Pool.MinConns {
		return false
	}
	m.countRetired(s)
	return true
}

func (m *Monitor) countRetired(s *slot) {
	if s.retired.CompareAndSwap(false, true) {
		m.retired.Add(1)
	}
}

// sweepEvery is how often idle connections are looked at for their age.
const sweepEvery = time.Second

// sweep closes idle connections that are old, so that nobody has to wait for
// their successors, and those that a statement has spoiled, which may keep a lock.
// Old ones stay until there are as many young ones as the pool's minimum.
func (m *Monitor) sweep() {
	old, spoiled, missing := m.stock()
	ctx := m.closing
	if full := m.pool.Stat().TotalConns() >= m.pool.Stat().MaxConns(); missing > 0 && (old || !full) {
		ctx = context.WithValue(ctx, sparing{}, true)
		m.refill(missing)
	}
	if spoiled || old && missing <= 0 {
		// It asks PrepareConn about each, which refuses them.
		for _, conn := range m.pool.AcquireAllIdle(ctx) {
			conn.Release()
		}
	}
}

// stock reports whether idle connections are old or spoiled, and how many the pool's
// minimum is short of.
func (m *Monitor) stock() (old, spoiled bool, missing int) {
	now, generation := m.clock.Load(), m.generation.Load()
	young := int(m.pool.Stat().ConstructingConns())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.slots {
		s.mu.Lock()
		switch idle := !s.held; {
		case idle && s.spoilt != unspoilt:
			spoiled = true
		case now >= s.expires:
			old = old || idle
		case s.generation == generation:
			young++
		}
		s.mu.Unlock()
	}
	return old, spoiled, int(m.cfg.Pool.MinConns) - young
}

// sparing marks a round through the idle connections that leaves the old ones alone.
type sparing struct{}

// The successors of what the pool lost or is about to close must come within refillMost,
// since all that is idle is held meanwhile. After a failure the next try is refillPause
// later.
const (
	refillMost  = time.Second
	refillPause = 5 * time.Second
)

// refill opens connections that the pool's minimum is short of, in a goroutine of its
// own, unless one is at it or has just failed.
func (m *Monitor) refill(missing int) {
	if time.Now().UnixNano() < m.refillAt.Load() || !m.refilling.CompareAndSwap(false, true) {
		return
	}
	m.background.Go(func() {
		defer m.refilling.Store(false)
		// Nothing is held for a server that does not answer.
		err := m.ask(m.closing)
		if err == nil || refusesWrites(err) {
			err = m.open(missing)
		}
		if err != nil && m.closing.Err() == nil {
			m.refillAt.Store(time.Now().Add(refillPause).UnixNano())
			m.log.Debug("pool can't open its minimum of connections, and keeps old ones", zap.Int("missing", missing), zap.Error(err))
		}
	})
}

// open opens so many connections, and closes the old ones that are idle then. pgxpool
// opens one where none is idle, so it holds all XX
func (m *Monitor) open(missing int) error {
	ctx, cancel := context.WithTimeout(context.WithValue(m.closing, warming{}, true), refillMost)
	defer cancel()
	var young, old []*pgxpool.Conn
	for _, conn := range m.pool.AcquireAllIdle(context.WithValue(ctx, sparing{}, true)) {
		if m.isOld(slotOf(conn.Conn())) {
			old = append(old, conn)
		} else {
			young = append(young, conn)
		}
	}
	room := int(m.pool.Stat().MaxConns() - m.pool.Stat().TotalConns())
	if room == 0 && len(old) > 0 {
		m.retire(old[0])
		room, old = 1, old[1:]
	}
	errs := make([]error, max(0, min(missing, room)))
	opened := make([]*pgxpool.Conn, len(errs))
	var all sync.WaitGroup
	for i := range opened {
		all.Go(func() { opened[i], errs[i] = m.Acquire(ctx, Request{Client: "minimum"}) })
	}
	all.Wait()
	err := errors.Join(errs...)
	spare := int(m.pool.Stat().TotalConns() - m.cfg.Pool.MinConns) // some may have grown old meanwhile
	for i, conn := range old {
		if err == nil && i < spare {
			m.retire(conn)
		} else {
			conn.Release()
		}
	}
	for _, conn := range append(young, opened...) {
		if conn != nil {
			conn.Release()
		}
	}
	return err
}

// retire closes a connection because of its age.
func (m *Monitor) retire(conn *pgxpool.Conn) {
	m.countRetired(slotOf(conn.Conn()))
	closeConn(conn.Conn())
	conn.Release()
}

// Retired returns how many connections were replaced because of their age.
func (m *Monitor) Retired() int64 { return m.retired.Load() }
