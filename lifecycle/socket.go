package lifecycle

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
)

// sockets remembers every network connection that the pool dialled, also for cancel
// requests: a stop can end all connections at once. For a silent connection pgx leaves a
// goroutine of up to 15 s behind (pgconn's asyncClose). The goroutine ends with its socket.
type sockets struct {
	base   pgconn.DialFunc
	advice map[string]string // see Config

	silent atomic.Int64 // unix ns of the last loss to a network that said nothing

	mu     sync.Mutex
	open   map[*socket]struct{}
	cut    bool
	closed chan struct{} // buffered 1: one of open was closed

	leftBehind []string // addresses, see leave
	ctx        context.Context
	cancel     context.CancelFunc
}

// Two timeouts notice within 5 s that a network drops everything: keepalive during the wait
// for an answer, the user timeout while sent data is not acknowledged. Without the two
// timeouts a call without a deadline waits for minutes.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}

const userTimeout = 5 * time.Second

// cancelDialMost is the longest dial for a cancel request. pgconn allows 15 s when pgconn
// closes a broken connection, and the broken connection keeps its place in the pool for the
// 15 s. On a dead network every connection would keep its place.
const cancelDialMost = 2 * time.Second

func newSockets(base pgconn.DialFunc) *sockets {
	s := &sockets{base: base, open: make(map[*socket]struct{}), closed: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

type socket struct {
	net.Conn
	owner   *sockets
	closed  atomic.Bool // by this process
	stopped atomic.Bool // by a drain, in a wait for notifications
	left    atomic.Bool // by this process, because the server hangs
	ended   atomic.Bool // by the server or the network
	end     backend.End
	tail    backend.Tail // of the holder's writes
	reading atomic.Int32 // reads that wait
	writes  atomic.Uint64
	reports atomic.Bool // a parameter may have come since compareReported

	readMu    sync.Mutex      // held by a read until the read's words are overheard
	overheard *pgconn.PgError // a FATAL error that a read has passed on
}

// ending returns the end of a socket, or nil for no socket.
func (c *socket) ending() *backend.End {
	if c == nil {
		return nil
	}
	return &c.end
}

func (c *socket) Read(b []byte) (int, error) {
	c.reading.Add(1)
	c.readMu.Lock()
	n, err := c.Conn.Read(b)
	if n > 0 && !endsReady(b[:n]) {
		c.overhear(b[:n])
	}
	c.readMu.Unlock()
	c.reading.Add(-1)
	if !c.reports.Load() && mayReport(b[:max(n, 0)]) {
		c.reports.Store(true)
	}
	if err != nil {
		err = c.noteEnd(err)
	}
	return n, err
}

func (c *socket) Write(b []byte) (int, error) {
	c.writes.Add(1)
	n, err := c.tail.WriteTo(c.Conn, b)
	if err != nil {
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			c.hearLastWords()
		}
		err = c.noteEnd(err)
	}
	return n, err
}

func (c *socket) Close() error {
	c.closed.Store(true)
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	select {
	case c.owner.closed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if ctx.Value(connectingKey{}) == nil {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, cancelDialMost)
		defer stop()
		if s.hasLeft(addr) {
			return nil, errServerLeft
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrDraining) })()

	conn, err := s.base(ctx, network, addr)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, ErrDraining) {
			err = cause
		}
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Best effort: a connection without keepalive works, and notices a loss later.
		_ = tcp.SetKeepAliveConfig(keepAlive)
		setUserTimeout(tcp, userTimeout)
	}
	c := &socket{Conn: conn, owner: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		conn.Close()
		return nil, ErrDraining
	}
	s.open[c] = struct{}{}
	return c, nil
}

// waitNone waits until no socket is open. waitNone returns false if ctx ended before.
func (s *sockets) waitNone(ctx context.Context) bool {
	for {
		s.mu.Lock()
		n := len(s.open)
		s.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-s.closed:
		case <-ctx.Done():
			return false
		}
	}
}

// cutAll closes all open sockets and refuses every later dial. cutAll closes the sockets
// under TLS, not the TLS connections: a TLS connection would first try to write.
func (s *sockets) cutAll() {
	s.mu.Lock()
	s.cut = true
	open := s.open
	s.open = make(map[*socket]struct{})
	s.mu.Unlock()
	s.cancel()
	for c := range open {
		c.Conn.Close()
	}
}

// leave refuses cancel requests to an address, until the pool opens a connection to the
// address: pgconn waits up to 15 s for a hanging server's answer to a cancel request, and the
// connection keeps its place in the pool meanwhile.
func (s *sockets) leave(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftBehind = append(s.leftBehind, address)
}

// comeBack ends leave.
func (s *sockets) comeBack(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftBehind = slices.DeleteFunc(s.leftBehind, func(a string) bool { return a == address })
}

func (s *sockets) hasLeft(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.leftBehind, address)
}
