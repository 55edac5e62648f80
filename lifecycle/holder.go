package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
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

// String returns the holder in one line, for errors and logs.
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
		fmt.Fprintf(&b, ", last statement %q", shorten(h.Query, 80))
	}
	return b.String()
}

func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// rawPool is the client name of acquires that did not come through Monitor.Acquire.
const rawPool = "raw pool"

// slotKey finds a connection's slot in pgconn's CustomData. CustomData belongs to the holder
// of the connection, and needs no lock.
const slotKey = "onepool"

// slot is the monitor's record of a single connection.
type slot struct {
	m          *Monitor
	conn       *pgx.Conn
	socket     *socket
	pid        uint32
	generation int64 // of the pool at the connect
	expires    int64 // unix ns
	atConnect  reported
	retired    atomic.Bool
	undo       string            // the pool runs undo before the next holder gets the connection
	byName     map[string]string // texts of what a holder has prepared by name; the holder's, then the pool's
	unprepared atomic.Bool       // the connection broke while pgx prepared a statement
	taints     taints            // by statements; the holder's, then the pool's
	lost       bool              // ended by server or network; the holder's, then the pool's
	trusted    int64             // losses at the last ping; the holder's, then the pool's

	mu       sync.Mutex // guards the fields below: a drain and Holders read the fields from outside
	held     bool
	uses     int64 // how often the connection was held
	client   string
	tenant   string
	pcs      [8]uintptr
	goSite   string            // names the caller instead of pcs
	share    *admission.Client // the client whose permit the holder took
	tainted  *atomic.Uint64    // counts a tainted connection; nil: nobody asked
	since    int64             // by the monitor's clock
	exactly  time.Time         // since, exactly, while somebody observes; zero if nobody observes
	query    string
	running  bool
	listens  bool  // to a channel
	listened int64 // when the monitor last saw the holder wait for a notification
	began    int64 // when the statement began; 0: nobody asks

	goroutine uint64          // that began the transaction or reads the rows; 0: none
	done      <-chan struct{} // of the transaction's context
	reads     bool            // rows

	reported bool        // as held too long
	traced   []zap.Field // of the acquire's context
}

func (m *Monitor) addSlot(conn *pgx.Conn) {
	s := &slot{m: m, conn: conn, socket: socketUnder(conn.PgConn().Conn()), pid: conn.PgConn().PID(), generation: m.generation.Load(), expires: m.lifetime.expiry(time.Now()), atConnect: reportedBy(conn), trusted: m.losses.Load()}
	conn.PgConn().CustomData()[slotKey] = s
	m.mu.Lock()
	m.slots[conn] = s
	m.mu.Unlock()
	m.opened.Add(1)
	if s.socket != nil {
		m.sockets.comeBack(s.socket.RemoteAddr().String())
	}
}

// removeSlot forgets a connection that the pool closes. If an error closed a held connection,
// the pool has called release before.
func (m *Monitor) removeSlot(conn *pgx.Conn) {
	m.mu.Lock()
	delete(m.slots, conn)
	m.mu.Unlock()
	select {
	case m.released <- struct{}{}: // a drain waits for releases
	default:
	}
}

// slotCount returns how many connections the pool has opened and not begun to close.
func (m *Monitor) slotCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.slots)
}

func slotOf(conn *pgx.Conn) *slot {
	s, _ := conn.PgConn().CustomData()[slotKey].(*slot)
	return s
}

// Undo runs sql on the connection before the next holder gets the connection. If sql fails,
// the pool closes the connection.
func Undo(conn *pgx.Conn, sql string) {
	if s := slotOf(conn); s != nil {
		s.undo = sql
	}
}

// undone runs the undo text of the last holder.
func (s *slot) undone(ctx context.Context, conn *pgx.Conn) bool {
	if s == nil || s.undo == "" {
		return true
	}
	sql := s.undo
	s.undo = ""
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err == nil
}

func (m *Monitor) hold(conn *pgx.Conn, a *acquisition) {
	s := slotOf(conn)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.held = true
	s.uses++
	s.client, s.tenant, s.tainted = a.request.Client, a.request.Tenant, a.request.Tainted
	if a.permit {
		s.share, a.permit = a.request.Share, false
	}
	s.pcs[0], s.goSite = 0, a.goStatement
	if a.pcs[0] != 0 {
		s.pcs = a.pcs
	}
	s.since, s.query, s.running, s.reported = m.clock.Load(), "", false, false
	s.listens, s.listened = false, 0
	s.traced = m.logFields(a.Context)
	s.exactly = time.Time{}
	if m.observers.Load() != nil {
		s.exactly = time.Now()
	}
	if a.request.Transaction && m.remembersTransaction() {
		s.goroutine, s.done = goroutineID(), a.Context.Done()
	}
	remembered := s.goroutine != 0
	s.mu.Unlock()
	if remembered {
		m.remember(s)
	}
	m.shed.serve(a.request.Client, a.line)
	a.leavePool()
	m.held.Add(1)
}

func (m *Monitor) release(conn *pgx.Conn) {
	s := slotOf(conn)
	if s == nil {
		return
	}
	m.lose(conn)
	s.compareReported(conn)
	s.mu.Lock()
	was, reported := s.held, s.reported
	client, exactly, tainted := s.client, s.exactly, s.tainted
	held := time.Duration(m.clock.Load() - s.since) // by a tick too long or too short, but right in the sum
	share, tenant := s.share, s.tenant
	s.share = nil
	remembered := was && s.goroutine != 0
	if remembered {
		s.goroutine, s.done, s.reads = 0, nil, false
	}
	s.held = false
	s.mu.Unlock()
	if !was {
		return
	}
	if remembered {
		m.forget(s)
	}
	if s.taints.worst() != Plain {
		m.tainted.Add(1)
		if tainted != nil {
			tainted.Add(1)
		}
	}
	if !exactly.IsZero() {
		held = time.Since(exactly)
		m.observe(func(o Observer) { o.Released(client, held) })
	}
	if reported {
		m.log.Info("connection that was held too long came back", m.reportFields(s)...)
	}
	m.held.Add(-1)
	if share == nil {
		return
	}
	if !conn.IsClosed() && !conn.PgConn().IsBusy() && conn.PgConn().TxStatus() == 'I' {
		share.Release(tenant, held)
		return
	}
	// The pool destroys the connection, and the connection keeps its place until the end of
	// the cleanup. A permit before that end would let its holder wait for a place out of turn.
	// pgx bounds the cleanup.
	go func() {
		<-conn.PgConn().CleanupDone()
		share.Release(tenant, held)
	}()
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
		h.Caller = callSite(pcs[:])
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

// callSite names the first frame outside the layers of every acquire. An acquire takes
// program counters; only callSite resolves the counters.
func callSite(pcs []uintptr) string {
	n := slices.Index(pcs, 0)
	if n < 0 {
		n = len(pcs)
	}
	if n == 0 {
		return ""
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if !isOwnFrame(f.Function) || !more {
			return fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line)
		}
	}
}

func isOwnFrame(function string) bool {
	for _, p := range []string{
		"github.com/agentagency/onepool/fxdb.",
		"github.com/agentagency/onepool/fxdb/fxdbsql.",
		"github.com/agentagency/onepool/lifecycle.",
		"github.com/jackc/pgx/v5",
		"database/sql.",
	} {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}
