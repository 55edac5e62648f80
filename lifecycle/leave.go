package lifecycle

import (
	"errors"

	"go.uber.org/zap"
)

// errLeaving is why a pool that still serves is not ready.
var errLeaving = errors.New("the application is about to stop: the pool still serves, and readiness is off")

// Leaving reports whether Leave was called, or a stop has begun.
func (m *Monitor) Leaving() bool { return m.leaving.Load() || m.Draining() }

// Leave turns readiness off and leaves the pool open: load balancers send new work elsewhere,
// and the pool serves further work. [Monitor.OnChange] reports the change. A drain follows.
// Leave does nothing if the pool is not started.
func (m *Monitor) Leave() {
	if !m.Started() || !m.leaving.CompareAndSwap(false, true) {
		return
	}
	m.log.Info("pool turns readiness off, and still serves", zap.String("database", m.Database()))
	m.assess(nil)
}
