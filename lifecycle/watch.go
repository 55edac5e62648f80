package lifecycle

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// clockTick is how often the monitor's clock, the clock for the times of holders, moves. A
// read of the real clock costs a third of an acquire.
const clockTick = 50 * time.Millisecond

// watch keeps the clock, samples the utilisation, closes old idle connections, and reports
// each connection that is held longer than the threshold, once; release reports the return
// of these connections. watch ends with ctx.
func (m *Monitor) watch(ctx context.Context) {
	threshold, interval := m.cfg.LeakThreshold, clockTick
	if threshold > 0 {
		interval = min(interval, max(threshold/4, time.Millisecond))
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var sampled, swept int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := time.Now().UnixNano()
			m.clock.Store(now)
			if now-sampled >= int64(clockTick)*9/10 {
				sampled = now
				m.callers.Store(callersPerTick)
				m.pressure.sample(int(m.held.Load()))
				if m.shed != nil {
					m.shed.judge(time.Now(), m.breaker.refuse(ctx) != nil)
				}
			}
			if now-swept >= int64(sweepEvery) {
				swept = now
				m.pressure.mark(m.acquires.Load())
				m.sweep()
				if threshold < 0 && m.held.Load() > 0 {
					m.heldSlots() // to forget hijacked connections
				}
			}
			if threshold < 0 || m.held.Load() == 0 {
				continue
			}
			for _, s := range m.heldSlots() {
				if s.heldTooLong(now, threshold) {
					m.log.Warn("connection held too long: look for a missing Release, Close, Commit or Rollback", m.reportFields(s)...)
				}
			}
		}
	}
}

// reportFields are the fields of a line about a connection that is held too long.
func (m *Monitor) reportFields(s *slot) []zap.Field {
	s.mu.Lock()
	traced := s.traced
	s.mu.Unlock()
	return append(m.holderFields(s.holder()), traced...)
}

// logFields returns the fields of Config.LogFields.
func (m *Monitor) logFields(ctx context.Context) []zap.Field {
	if m.cfg.LogFields == nil {
		return nil
	}
	return m.cfg.LogFields(ctx)
}

func (m *Monitor) holderFields(h Holder) []zap.Field {
	if h.Caller == "" {
		h.Caller = "not taken: set " + m.settings().name("Callers")
	}
	return []zap.Field{
		zap.String("client", h.Client), zap.String("tenant", h.Tenant), zap.Duration("held", time.Since(h.Since)),
		zap.String("call_site", h.Caller), zap.String("statement", shown(h.Query, 200)), zap.Uint32("backend", h.PID),
	}
}
