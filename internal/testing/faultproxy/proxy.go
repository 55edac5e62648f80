package faultproxy

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy is the network between a pool and the server: a TCP port that passes
// connections on, until a test asks for a fault.
type Proxy struct {
	network, addr string // of the server
	ln            *net.TCPListener
	all           sync.WaitGroup

	mu      sync.Mutex
	clients map[*net.TCPConn]*link
	cut     bool
	thawed  chan struct{} // closed: data passes
	delay   time.Duration // of each answer
}

// link is a connection through the port.
type link struct {
	server net.Conn
	silent chan struct{} // closed: nothing reaches the client any more
	once   sync.Once
	loses  atomic.Int32 // see the states of a lost answer
}

func (l *link) silence() { l.once.Do(func() { close(l.silent) }) }

// New opens a port in front of the server of a connection string. The port is closed when
// the test ends.
func New(t testing.TB, server string) (*Proxy, error) {
	to, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, err
	}
	var cfg net.ListenConfig
	cfg.SetMultipathTCP(false) // a socket of multipath TCP takes no packet filter
	ln, err := cfg.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{ln: ln.(*net.TCPListener), clients: make(map[*net.TCPConn]*link), thawed: make(chan struct{})}
	close(p.thawed)
	p.network, p.addr = pgconn.NetworkAddress(to.Host, to.Port)
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.Cut()
		p.all.Wait()
	})
	return p, nil
}

// Addr is the port's address.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// DatabaseURL is the connection string for a role and a database through the port.
func (p *Proxy) DatabaseURL(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: p.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		server, err := net.Dial(p.network, p.addr)
		if err != nil {
			reset(client)
			continue
		}
		l := &link{server: server, silent: make(chan struct{})}
		p.mu.Lock()
		p.clients[client] = l
		if p.cut {
			reset(client)
		}
		p.mu.Unlock()
		p.all.Go(func() { p.carry(client, l) })
	}
}

// carry ends when the client or the server has ended the connection.
func (p *Proxy) carry(client *net.TCPConn, l *link) {
	end := func() { _ = client.Close(); l.server.Close(); l.silence() }
	var both sync.WaitGroup
	both.Go(func() { defer end(); p.toServer(client, l) })
	both.Go(func() { defer end(); p.toClient(client, l) })
	both.Wait()
	p.mu.Lock()
	delete(p.clients, client)
	p.mu.Unlock()
}

// reset ends a connection with RST, as a router that has lost the connection does.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (p *Proxy) toServer(client *net.TCPConn, l *link) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.wait(l, 0)
		l.loses.CompareAndSwap(waitsForStatement, waitsForAnswer)
		if _, err := l.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) toClient(client *net.TCPConn, l *link) {
	buf := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-l.silent:
			continue
		default:
		}
		p.mu.Lock()
		delay := p.delay
		p.mu.Unlock()
		p.wait(l, delay)
		if l.loses.Load() == waitsForAnswer {
			reset(client)
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// wait waits for the delay and for the end of a freeze. The end of the connection ends both.
func (p *Proxy) wait(l *link, delay time.Duration) {
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.silent:
		}
	}
	p.mu.Lock()
	thawed := p.thawed
	p.mu.Unlock()
	select {
	case <-thawed:
	case <-l.silent:
	}
}

// Cut resets every connection, and every new connection until [Proxy.Restore].
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.clients {
		reset(c)
	}
}

// Blackhole makes the packets of all present connections vanish: the kernel does not
// even acknowledge a client's packet, and the client gets no data. If all is set, nobody
// answers a new connection until [Proxy.Restore]. If the system can't drop packets,
// Blackhole skips the test, or fails the test in CI.
func (p *Proxy) Blackhole(t testing.TB, all bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if all {
		err = dropPackets(p.ln)
	}
	for c, l := range p.clients {
		l.silence()
		if err == nil {
			err = dropPackets(c)
		}
	}
	if err != nil {
		end := t.Skipf
		if os.Getenv("CI") != "" {
			end = t.Fatalf
		}
		end("packets can't be dropped here: %v", err)
	}
}

// Restore ends all faults. Connections that were lost stay lost.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = false, 0
	p.thaw()
	passPackets(p.ln)
}
