package fxdb

import (
	"encoding/json"
	"net/http"
	"time"

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
	AcquireWait      time.Duration `json:"acquire_wait_ns"`    // all their waiting together
	CanceledAcquires int64         `json:"canceled_acquires"`  // acquires that gave up
	Opened           int64         `json:"opened"`             // connections opened
	IdleClosed       int64         `json:"idle_closed"`        // closed after DB_IDLE_TIMEOUT_MS
	LifetimeClosed   int64         `json:"lifetime_closed"`    // closed after DB_MAX_LIFETIME_MS
	Clients          []ClientStats `json:"clients,omitempty"`  // in the order they were named
	Draining         bool          `json:"draining,omitempty"` // a stop has begun
}

// ClientStats is one client's part.
type ClientStats struct {
	Name     string `json:"name"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Acquired uint64 `json:"acquired"` // since the pool was made
	System   uint64 `json:"system"`   // uses outside any tenant, by tenant.System, since then
}

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
	held := make(map[string]int)
	for _, h := range m.Holders() {
		held[h.Client]++
	}
	db.core.mu.Lock()
	defer db.core.mu.Unlock()
	for _, c := range db.core.clients {
		s.Clients = append(s.Clients, ClientStats{c.name, held[c.name], int(c.waiting.Load()), c.acquired.Load(), c.system.Load()})
	}
	return s
}
