package fxdb

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/agentagency/onepool/admission"
	"github.com/agentagency/onepool/lifecycle"
)

// Stats is a look at the pool. Total is Idle plus Active plus connections that
// are being opened.
type Stats struct {
	Total   int `json:"total"`
	Idle    int `json:"idle"`
	Active  int `json:"active"`  // held by callers
	Waiting int `json:"waiting"` // callers that wait for a connection
	Max     int `json:"max"`

	CreatedAt time.Time        `json:"created_at"`
	LastCheck time.Time        `json:"last_check"` // when the server last answered or failed to
	Status    lifecycle.Status `json:"status"`

	AcquireCount     int64         `json:"acquire_count"`      // acquires that got a connection, since CreatedAt
	AcquireWait      time.Duration `json:"acquire_wait_ns"`    // for a turn and for a connection, all together
	CanceledAcquires int64         `json:"canceled_acquires"`  // acquires that gave up
	Opened           int64         `json:"opened"`             // connections opened
	IdleClosed       int64         `json:"idle_closed"`        // closed after DB_IDLE_TIMEOUT_MS
	LifetimeClosed   int64         `json:"lifetime_closed"`    // closed after DB_MAX_LIFETIME_MS
	Clients          []ClientStats `json:"clients,omitempty"`  // in the order they were named, and the raw pool once it was used
	Tenants          []TenantStats `json:"tenants,omitempty"`  // by name
	Draining         bool          `json:"draining,omitempty"` // a stop has begun
}

// ClientStats is one client's part. Its limits and waits are those of sharing, and
// zero where DB_SHARING is off.
type ClientStats struct {
	Name     string `json:"name"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Acquired uint64 `json:"acquired"` // since the pool was made
	System   uint64 `json:"system"`   // uses outside any tenant, by tenant.System, since then

	MaxShare int `json:"max_share,omitempty"` // 0: no limit
	Reserve  int `json:"reserve,omitempty"`
	Weight   int `json:"weight,omitempty"` // 0: the default of 1
	Sharing
}

// TenantStats is one tenant's part, over all clients: of those that hold or wait now,
// and of the 1024 that did so last.
type TenantStats struct {
	Name     string `json:"name"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Acquired uint64 `json:"acquired"` // since it was last forgotten
	Sharing
}

// Sharing is what waiting for others cost a client or a tenant, and what others may
// have waited for. Hold times are measured by a clock that ticks every 50 ms, unless
// somebody observes the pool (lifecycle.Monitor.Observe, as the packages for metrics
// do): one is that much too long or too short, their sum is right.
type Sharing struct {
	Refused   int64         `json:"refused"`     // waits that ended without a connection
	WouldWait int64         `json:"would_wait"`  // in a dry run: acquires that would have waited
	Waits     int64         `json:"waits"`       // acquires that waited
	WaitTotal time.Duration `json:"wait_ns"`     // all of them together
	WaitMax   time.Duration `json:"wait_max_ns"` // the longest
	HoldTotal time.Duration `json:"hold_ns"`     // all holds that are over together
	HoldMax   time.Duration `json:"hold_max_ns"` // the longest
}

func sharingOf(u admission.Usage) Sharing {
	return Sharing{
		Refused: u.GaveUp, WouldWait: u.WouldWait, Waits: u.Waited, WaitTotal: u.WaitTotal, WaitMax: u.WaitMax,
		HoldTotal: u.HoldTotal, HoldMax: u.HoldMax,
	}
}

// and adds what the tenant has and had in one more pool.
func (t TenantStats) and(in admission.TenantStats) TenantStats {
	u := sharingOf(in.Usage)
	return TenantStats{
		Name: in.Name, Held: t.Held + in.Held, Waiting: t.Waiting + in.Waiting, Acquired: t.Acquired + uint64(in.Granted),
		Sharing: Sharing{
			Refused: t.Refused + u.Refused, WouldWait: t.WouldWait + u.WouldWait,
			Waits: t.Waits + u.Waits, WaitTotal: t.WaitTotal + u.WaitTotal, WaitMax: max(t.WaitMax, u.WaitMax),
			HoldTotal: t.HoldTotal + u.HoldTotal, HoldMax: max(t.HoldMax, u.HoldMax),
		},
	}
}

// rawPool is the client that uses of the pool itself are counted for.
const rawPool = "raw pool"

// StatsHandler answers with Stats as JSON, for a mux of the program's own.
func (db *DB) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(db.Stats())
	})
}

// Stats returns the pool's figures now. It sends nothing: Status is judged by
// the connections in use and the last look at the server.
func (db *DB) Stats() Stats {
	m := db.core.monitor
	st := m.Pool().Stat()
	s := Stats{
		Total: int(st.TotalConns()), Idle: int(st.IdleConns()), Active: int(st.AcquiredConns()),
		Waiting: m.Waiting(), Max: int(st.MaxConns()),
		CreatedAt: m.CreatedAt(), LastCheck: m.LastCheck(), Status: m.Status(),
		AcquireCount: st.AcquireCount(), AcquireWait: st.AcquireDuration(), CanceledAcquires: st.CanceledAcquireCount(),
		Opened: m.Opened(), IdleClosed: st.MaxIdleDestroyCount(), LifetimeClosed: m.Retired(),
		Draining: m.Draining(),
	}
	held, shares := make(map[string]int), make(map[string]admission.ClientStats)
	for _, m := range db.core.monitors() {
		for _, h := range m.Holders() {
			held[h.Client]++
		}
	}
	tenants := make(map[string]TenantStats)
	for _, own := range db.core.monitors() {
		if own.Admission() == nil {
			continue
		}
		sharing := own.Admission().Stats()
		for _, c := range sharing.Clients {
			if own == m { // callers wait there, and the pool sees but those who may have a connection
				s.AcquireWait += c.WaitTotal
				if c.Name != rawPool { // whose refusals the pool has counted
					s.CanceledAcquires += c.GaveUp
				}
			}
			if own == m || c.Name != rawPool {
				shares[c.Name] = c
			}
		}
		for _, t := range sharing.Tenants {
			if t.Name != "" { // what was done for none
				tenants[t.Name] = tenants[t.Name].and(t)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		s.Tenants = append(s.Tenants, tenants[name])
	}
	db.core.mu.Lock()
	defer db.core.mu.Unlock()
	for _, c := range db.core.clients {
		share := shares[c.name]
		delete(shares, c.name)
		s.Clients = append(s.Clients, ClientStats{
			Name: c.name, Held: held[c.name], Waiting: int(c.waiting.Load()), Acquired: c.acquired.Load(), System: c.system.Load(),
			MaxShare: share.Limits.Max, Reserve: share.Limits.Reserve, Weight: share.Limits.Weight, Sharing: sharingOf(share.Usage),
		})
	}
	for _, raw := range shares { // the raw pool alone is nobody's name
		if raw.Granted > 0 || raw.Waited > 0 {
			s.Clients = append(s.Clients, ClientStats{Name: raw.Name, Held: raw.Held, Waiting: raw.Waiting, Acquired: uint64(raw.Granted), Sharing: sharingOf(raw.Usage)})
		}
	}
	return s
}
