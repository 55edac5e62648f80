package lifecycle

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/backend"
)

// slotKey finds a connection's slot in pgconn's CustomData. CustomData belongs to the holder
// of the connection, and needs no lock.
const slotKey = "onepool"

// slot is the monitor's record of a single connection.
type slot struct {
	m          *Monitor
	conn       *pgx.Conn
	socket     *socket
	watched    *socket // if not nil, the connection's whole stream as the server sends the stream
	pid        uint32
	generation int64 // of the pool at the connect
	expires    int64 // unix ns
	atConnect  reported
	retired    atomic.Bool
	facts      *backend.Facts // shared with fxdb; the holder's, then the pool's
	lost       bool           // ended by server or network; the holder's, then the pool's
	trusted    int64          // losses at the last ping; the holder's, then the pool's
	upkeep     bool           // the monitor itself took the connection; the holder's, then the pool's

	mu       sync.Mutex // guards the fields below: a drain and Holders read the fields from outside
	held     bool
	uses     int64 // how often the connection was held
	client   string
	tenant   string
	pcs      [8]uintptr
	goSite   string            // names the caller instead of pcs
	permits  *admission.Client // the client whose permit the holder took
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
	s.facts = backend.Note(conn, s.socket.ending(), m.cfg.Sessions, s.readsRows)
	if s.socket != nil {
		s.facts.CountsWrites(&s.socket.writes)
	}
	if direct, ok := conn.PgConn().Conn().(*socket); ok { // TLS encrypts a write as a whole
		s.watched = direct
		s.facts.ChecksThrough(&direct.tail)
	}
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
