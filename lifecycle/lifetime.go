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

	"github.com/agentagency/onepool/internal/backend"
)

// lifetime replaces old connections in the place of pgxpool. pgxpool reads the real clock on
// every acquire and release: a third of their time. lifetime reads the monitor's clock.
type lifetime struct{ longest, jitter time.Duration }

// expiry returns when the pool replaces a connection that opens now.
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

// retireGrace is how long the pool, at most, still hands out an old connection of the pool's
// minimum: sweep opens the successor meanwhile. On a busy machine the second try succeeds.
const retireGrace = 2 * (refillMost + refillPause)

// expired reports whether the pool closes an old connection instead of handing the connection
// out.
func (m *Monitor) expired(ctx context.Context, s *slot) bool {
	if spares, _ := ctx.Value(upkeep{}).(bool); spares {
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

// sweepEvery is how often sweep checks the age of idle connections.
const sweepEvery = time.Second

// sweep closes old idle connections: nobody has to wait for their successors. sweep also
// cleans or closes idle connections that a statement has tainted and that may keep a lock. Old
// connections stay until the young connections reach the pool's minimum.
func (m *Monitor) sweep() {
	old, tainted, missing := m.stock()
	spares := false
	if full := m.pool.Stat().TotalConns() >= m.pool.Stat().MaxConns(); missing > 0 && (old || !full) {
		spares = true
		m.refill(missing)
	}
	if tainted || old && missing <= 0 {
		// AcquireAllIdle asks PrepareConn, and PrepareConn refuses old connections and cleans tainted connections.
		for _, conn := range m.pool.AcquireAllIdle(context.WithValue(m.closing, upkeep{}, spares)) {
			conn.Release()
		}
	}
}

// stock reports whether idle connections are old or tainted, and how many young connections
// the pool's minimum lacks.
func (m *Monitor) stock() (old, tainted bool, missing int) {
	now, generation := m.clock.Load(), m.generation.Load()
	young := int(m.pool.Stat().ConstructingConns())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.slots {
		s.mu.Lock()
		switch idle := !s.held; {
		case idle && s.facts.Cleanup() != backend.NoCleanup:
			tainted = true
		case now >= s.expires:
			old = old || idle
		case s.generation == generation:
			young++
		}
		s.mu.Unlock()
	}
	return old, tainted, int(m.cfg.Pool.MinConns) - young
}

// upkeep marks the monitor's own round through the idle connections. The value reports whether
// the round leaves old connections alone.
type upkeep struct{}

// isUpkeep reports whether the monitor itself acquires, in a round or to open a connection. The
// caller's PrepareConn and AfterRelease run for callers alone, as in pgxpool.
func isUpkeep(ctx context.Context) bool {
	return ctx.Value(upkeep{}) != nil || ctx.Value(warming{}) != nil
}

// The successors of lost and old connections must open within refillMost: refill holds all
// idle connections meanwhile. After a failure the next try is refillPause later.
const (
	refillMost  = time.Second
	refillPause = 5 * time.Second
)

// refill opens the connections that the pool's minimum lacks, in a new goroutine, unless a
// refill runs or has just failed.
func (m *Monitor) refill(missing int) {
	if time.Now().UnixNano() < m.refillAt.Load() || !m.refilling.CompareAndSwap(false, true) {
		return
	}
	m.background.Go(func() {
		defer m.refilling.Store(false)
		// If the server does not answer, refill holds no connection.
		err := m.ask(m.closing)
		if err == nil || refusesWrites(err) {
			err = m.open(missing)
		}
		if err != nil && m.closing.Err() == nil {
			m.refillAt.Store(time.Now().Add(refillPause).UnixNano())
			m.log.Debug("pool can't open its minimum of connections, and keeps connections beyond their lifetime", zap.Int("missing", missing), zap.Error(err))
		}
	})
}

// open opens the missing connections, and closes old idle connections. pgxpool opens a
// connection only if none is idle: open holds all idle connections meanwhile.
func (m *Monitor) open(missing int) error {
	ctx, cancel := context.WithTimeout(context.WithValue(m.closing, warming{}, true), refillMost)
	defer cancel()
	var young, old []*pgxpool.Conn
	for _, conn := range m.pool.AcquireAllIdle(context.WithValue(ctx, upkeep{}, true)) {
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
