package lifecycle

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// DefaultLeakThreshold is how long a connection may be held before it is
// reported, where Config does not say.
const DefaultLeakThreshold = time.Minute

// watchLeaks reports connections that are held longer than the threshold, each
// once; release reports their return. It ends with ctx.
func (m *Monitor) watchLeaks(ctx context.Context) {
	threshold := m.cfg.LeakThreshold
	tick := time.NewTicker(min(max(threshold/4, time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, s := range m.heldSlots() {
				s.mu.Lock()
				over := s.held && !s.reported && now.Sub(s.since) >= threshold
				s.reported = s.reported || over
				s.mu.Unlock()
				if over {
					m.log.Warn("connection held too long: is it ever released?", holderFields(s.holder())...)
				}
			}
		}
	}
}

func holderFields(h Holder) []zap.Field {
	return []zap.Field{
		zap.String("client", h.Client), zap.String("tenant", h.Tenant), zap.Duration("held", time.Since(h.Since)),
		zap.String("caller", h.Caller), zap.String("statement", shorten(h.Query, 200)), zap.Uint32("backend", h.PID),
	}
}
