package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentagency/onepool/internal/sqllex"
)

// Holder says who holds a connection.
type Holder struct {
	Client string // client that acquired the connection; "raw pool" for uses of the pool itself
	Tenant string // tenant in the context of the acquire, if any
	Caller string // function and file:line of the acquire
	Since  time.Time
	Query  string // the running or last statement, without arguments
	PID    uint32 // process id of the backend on the server

	TooLong bool // held for longer than Config.LeakThreshold, and logged
	Listens bool // waits for notifications: no threshold holds for the wait

	seen time.Time // when the monitor read the holder: String returns the same text later
}

// String returns the holder in one line, for errors and logs. String shows the statement without
// the values in the statement's text.
func (h Holder) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", h.Client)
	if h.Tenant != "" {
		fmt.Fprintf(&b, " (tenant %q)", h.Tenant)
	}
	seen := h.seen
	if seen.IsZero() {
		seen = time.Now()
	}
	fmt.Fprintf(&b, " for %s", seen.Sub(h.Since).Round(time.Millisecond))
	if h.Caller != "" {
		fmt.Fprintf(&b, " at %s", h.Caller)
	}
	if h.Query != "" {
		fmt.Fprintf(&b, ", last statement %q", shown(h.Query, 80))
	}
	return b.String()
}

// shown returns at most n bytes of a statement, without the values in the text: a log or the
// error of another caller shows the result.
func shown(sql string, n int) string {
	clean, ok := sqllex.Sanitize(sql)
	if !ok {
		clean = sqllex.Summary(sql)
	}
	return shorten(clean, n)
}

func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func (m *Monitor) heldCount() int { return int(m.held.Load()) }

// heldSlots returns the connections in use, the longest held first.
func (m *Monitor) heldSlots() []*slot {
	m.mu.Lock()
	all := make([]*slot, 0, len(m.slots))
	for _, s := range m.slots {
		all = append(all, s)
	}
	m.mu.Unlock()
	all = m.forgetHijacked(slices.DeleteFunc(all, func(s *slot) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.held
	}))
	slices.SortFunc(all, func(a, b *slot) int { return cmp.Compare(a.started(), b.started()) })
	return all
}

func (s *slot) started() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

func (s *slot) inQuery() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held && s.running
}

func (s *slot) holder() Holder {
	s.mu.Lock()
	h := Holder{Client: s.client, Tenant: s.tenant, Since: time.Unix(0, s.since), Query: s.query, PID: s.pid, TooLong: s.reported, Listens: s.waitsForNotification(), seen: time.Now()}
	pcs, site := s.pcs, s.goSite
	s.mu.Unlock()
	if h.Caller = site; site == "" {
		h.Caller = s.m.layers.callSite(pcs[:])
	}
	return h
}

// Holders returns the holders of connections now, the longest first.
func (m *Monitor) Holders() []Holder {
	held := m.heldSlots()
	out := make([]Holder, len(held))
	for i, s := range held {
		out[i] = s.holder()
	}
	return out
}
