package lifecycle

import (
	"maps"
	"sync"
)

// Incidents counts, since New, the events of a client that an operator acts on.
type Incidents struct {
	Nested  int64            // nested acquires that the monitor found: see NestedMode
	Slow    int64            // statements that took longer than Config.SlowQuery
	Retries map[string]int64 // repeated attempts, by the SQLSTATE of the failed attempt; empty: the connection broke without a word of the server
}

// incidents holds the Incidents of all clients. Incidents are rare: a single mutex guards all.
type incidents struct {
	mu sync.Mutex
	by map[string]*Incidents
}

func (i *incidents) count(client string, change func(*Incidents)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.by == nil {
		i.by = make(map[string]*Incidents)
	}
	if i.by[client] == nil {
		i.by[client] = &Incidents{Retries: make(map[string]int64)}
	}
	change(i.by[client])
}

// Incidents returns the incidents of each client with at least one incident.
func (m *Monitor) Incidents() map[string]Incidents {
	m.incidents.mu.Lock()
	defer m.incidents.mu.Unlock()
	all := make(map[string]Incidents, len(m.incidents.by))
	for client, i := range m.incidents.by {
		all[client] = Incidents{Nested: i.Nested, Slow: i.Slow, Retries: maps.Clone(i.Retries)}
	}
	return all
}

// CountRetry counts a retry by the client after a failure with the SQLSTATE. Package fxdb
// calls CountRetry; the pool itself sends no statement twice.
func (m *Monitor) CountRetry(client, sqlstate string) {
	m.incidents.count(client, func(i *Incidents) { i.Retries[sqlstate]++ })
}

// Resets returns how often the pool was reset because its server went away or became
// read-only.
func (m *Monitor) Resets() int64 { return m.generation.Load() }
