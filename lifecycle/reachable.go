package lifecycle

import "context"

// Reachable reports whether the server answers, however busy the pool is. Reachable probes as
// [Monitor.Health] does, for half a second at most, and asks the server of an idle pool too.
// A standby that refuses writes is reachable. Before the first connection Reachable is
// false; from a drain on Reachable is the result of the last probe.
func (m *Monitor) Reachable(ctx context.Context) bool {
	err := m.probeError()
	if m.Started() {
		err = m.probe(ctx)
	}
	return !m.LastCheck().IsZero() && (err == nil || refusesWrites(err))
}
