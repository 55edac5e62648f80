package fxdb

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/lifecycle"
)

// Stats is a snapshot of the shared pool. Clients and Tenants also cover the pools of
// DB_DEDICATED. Clients keeps the order in which the program named the clients.
type Stats struct {
	PoolStats
	Tenants   []TenantStats `json:"tenants,omitempty"`   // by name
	Dedicated []PoolStats   `json:"dedicated,omitempty"` // the pools of DB_DEDICATED, in the setting's order
	Listener  ListenerStats `json:"listener,omitzero"`   // the connection of DB.Listen, outside all pools
}

// PoolStats is a snapshot of one pool. Total is Idle plus Active plus connections that are
// being opened. Client is the client with a pool of its own (DB_DEDICATED), and is empty for the
// shared pool. Clients of a dedicated pool holds its client, and the raw pool after the first use
// of the raw pool.
type PoolStats struct {
	Client  string `json:"client,omitempty"`
	Total   int    `json:"total"`
	Idle    int    `json:"idle"`
	Active  int    `json:"active"`  // held by callers
	Waiting int    `json:"waiting"` // callers that wait for a connection
	Max     int    `json:"max"`

	CreatedAt time.Time        `json:"created_at"`
	LastCheck time.Time        `json:"last_check"` // when the server last answered or failed to
	Status    lifecycle.Status `json:"status"`

	AcquireCount     int64         `json:"acquire_count"`      // acquires that got a connection, since CreatedAt
	AcquireWait      time.Duration `json:"acquire_wait_ns"`    // for a turn and for a connection, all together
	CanceledAcquires int64         `json:"canceled_acquires"`  // acquires that gave up
	Opened           int64         `json:"opened"`             // connections opened
	IdleClosed       int64         `json:"idle_closed"`        // closed after DB_IDLE_TIMEOUT_MS
	LifetimeClosed   int64         `json:"lifetime_closed"`    // closed after DB_MAX_LIFETIME_MS
	TaintReset       uint64        `json:"taint_reset"`        // made clean after a text that is not plain
	TaintClosed      uint64        `json:"taint_closed"`       // closed after a text that is not plain
	Clients          []ClientStats `json:"clients,omitempty"`  // and the raw pool after the first use
	Draining         bool          `json:"draining,omitempty"` // a stop has begun
}

// ClientStats is a client's part of the pool. Limits and waits come from sharing, and are
// zero if DB_SHARING is off.
type ClientStats struct {
	Name     string `json:"name"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Acquired uint64 `json:"acquired"` // since the pool was made
	System   uint64 `json:"system"`   // uses outside any tenant, by tenant.System, since then
	Tainted  uint64 `json:"tainted"`  // connections that came back after a text of the client that is not plain, since then

	MaxConns int `json:"max_conns,omitempty"` // 0: no limit
	Reserve  int `json:"reserve,omitempty"`
	Weight   int `json:"weight,omitempty"` // 0: the default of 1
	Usage
}

// TenantStats is a tenant's part, over all clients. Stats covers the tenants that hold or
// wait now, and the 1024 tenants that held or waited last.
type TenantStats struct {
	Name     string `json:"name"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Acquired uint64 `json:"acquired"` // since Stats last forgot the tenant
	Usage
}

// Usage is the time that a client or a tenant waited, and the time that the client or
// tenant held connections. A clock that ticks every 50 ms measures holds, unless an
// observer is attached ([lifecycle.Monitor.Observe], as by the packages for metrics). By
// the clock a single hold is up to 50 ms too long or too short; the sum of holds is right.
type Usage struct {
	Refused   int64         `json:"refused"`     // waits that ended without a connection
	WouldWait int64         `json:"would_wait"`  // in a dry run: acquires that would have waited
	Waits     int64         `json:"waits"`       // acquires that waited
	WaitTotal time.Duration `json:"wait_ns"`     // all waits together
	WaitMax   time.Duration `json:"wait_max_ns"` // the longest
	HoldTotal time.Duration `json:"hold_ns"`     // all holds that are over together
	HoldMax   time.Duration `json:"hold_max_ns"` // the longest
}

func usageOf(u admission.Usage) Usage {
	return Usage{
		Refused: u.Abandoned, WouldWait: u.WouldWait, Waits: u.Waited, WaitTotal: u.WaitTotal, WaitMax: u.WaitMax,
		HoldTotal: u.HoldTotal, HoldMax: u.HoldMax,
	}
}

// and adds the tenant's figures of a second pool.
func (t TenantStats) and(u TenantStats) TenantStats {
	return TenantStats{
		Name: u.Name, Held: t.Held + u.Held, Waiting: t.Waiting + u.Waiting, Acquired: t.Acquired + u.Acquired,
		Usage: Usage{
			Refused: t.Refused + u.Refused, WouldWait: t.WouldWait + u.WouldWait,
			Waits: t.Waits + u.Waits, WaitTotal: t.WaitTotal + u.WaitTotal, WaitMax: max(t.WaitMax, u.WaitMax),
			HoldTotal: t.HoldTotal + u.HoldTotal, HoldMax: max(t.HoldMax, u.HoldMax),
		},
	}
}

// rawPool is the client name for uses of the pool itself.
const rawPool = "raw pool"

// StatsHandler answers with [Stats] as JSON, for a mux of the program.
func (db *DB) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		raw, err := json.Marshal(db.Stats())
		if err != nil {
			http.Error(w, "the figures can't be encoded", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(raw, '\n'))
	})
}

// Stats returns the current figures of the shared pool, of all clients, and of the pools
// of DB_DEDICATED. Every handle returns the same figures. Stats sends nothing: Status
// follows from the connections in use and the last check of the server.
func (db *DB) Stats() Stats {
	c := db.core
	c.mu.Lock()
	clients := slices.Clone(c.clients)
	c.mu.Unlock()
	s := Stats{Listener: c.listener.stats()}
	s.PoolStats, s.Tenants = statsOf(c.monitor, clients)
	for _, d := range c.cfg.Dedicated {
		name, _, _ := dedicated(d) // validate has read d
		own, tenants := statsOf(c.dedicated[name], clients)
		own.Client = name
		s.add(own, tenants)
	}
	order := make(map[string]int)
	for i, c := range clients {
		order[c.name] = i
	}
	order[rawPool] = len(clients)
	slices.SortStableFunc(s.Clients, func(x, y ClientStats) int { return cmp.Compare(order[x.Name], order[y.Name]) })
	return s
}

// add adds a dedicated pool, the pool's client and the figures of the pool's tenants.
func (s *Stats) add(d PoolStats, tenants []TenantStats) {
	s.Dedicated = append(s.Dedicated, d)
	for _, c := range d.Clients {
		if c.Name != rawPool {
			s.Clients = append(s.Clients, c)
		}
	}
	for _, t := range tenants {
		i, found := slices.BinarySearchFunc(s.Tenants, t.Name, func(x TenantStats, name string) int { return cmp.Compare(x.Name, name) })
		if found {
			s.Tenants[i] = s.Tenants[i].and(t)
		} else {
			s.Tenants = slices.Insert(s.Tenants, i, t)
		}
	}
}

// statsOf returns the figures of one pool, with the clients of the pool.
func statsOf(m *lifecycle.Monitor, clients []*client) (s PoolStats, tenants []TenantStats) {
	st := m.Pool().Stat()
	s = PoolStats{
		Total: int(st.TotalConns()), Idle: int(st.IdleConns()), Active: int(st.AcquiredConns()),
		Waiting: m.Waiting(), Max: int(st.MaxConns()),
		CreatedAt: m.CreatedAt(), LastCheck: m.LastCheck(), Status: m.Status(),
		AcquireCount: st.AcquireCount(), AcquireWait: st.AcquireDuration(), CanceledAcquires: st.CanceledAcquireCount(),
		Opened: m.Opened(), IdleClosed: st.MaxIdleDestroyCount(), LifetimeClosed: m.Retired(),
		Draining: m.Draining(),
	}
	tainted, cleaned, closed := m.Tainted()
	s.TaintReset, s.TaintClosed = cleaned, closed
	held, usages := make(map[string]int), make(map[string]admission.ClientStats)
	for _, h := range m.Holders() {
		held[h.Client]++
	}
	if a := m.Admission(); a != nil {
		sharing := a.Stats()
		for _, c := range sharing.Clients {
			s.AcquireWait += c.WaitTotal // callers wait in admission, and the pool sees only callers with a turn
			if c.Name != rawPool {       // whose refusals the pool has counted
				s.CanceledAcquires += c.Abandoned
			}
			usages[c.Name] = c
		}
		for _, t := range sharing.Tenants {
			if t.Name != "" { // the empty name is work without a tenant
				tenants = append(tenants, TenantStats{t.Name, t.Held, t.Waiting, uint64(t.Granted), usageOf(t.Usage)})
			}
		}
	}
	rest := tainted // the raw pool's
	for _, c := range clients {
		if c.monitor != m {
			continue
		}
		ofClient := c.tainted.Load()
		rest -= min(rest, ofClient)
		usage := usages[c.name]
		delete(usages, c.name)
		s.Clients = append(s.Clients, ClientStats{
			Name: c.name, Held: held[c.name], Waiting: int(c.waiting.Load()), Acquired: c.acquired.Load(), System: c.system.Load(), Tainted: ofClient,
			MaxConns: usage.Limits.Max, Reserve: usage.Limits.Reserve, Weight: usage.Limits.Weight, Usage: usageOf(usage.Usage),
		})
	}
	if raw := usages[rawPool]; raw.Granted > 0 || raw.Waited > 0 { // nobody's name
		s.Clients = append(s.Clients, ClientStats{Name: raw.Name, Held: raw.Held, Waiting: raw.Waiting, Acquired: uint64(raw.Granted), Tainted: rest, Usage: usageOf(raw.Usage)})
	}
	return s, tenants
}
