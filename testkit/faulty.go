package testkit

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/faultproxy"
)

// Network is the network between a pool of [Faulty] and the server. Network's methods are safe
// for concurrent use.
type Network struct {
	proxy *faultproxy.Proxy

	mu    sync.Mutex
	loses bool // the answer of the next statement
	lost  map[*pgx.Conn]bool
}

// Faulty returns a pool as [DB] does, and the network between the pool and the server. Use the
// network to test a program under a fault of the network or of the server:
//
//	db, network := testkit.Faulty(t)
//	network.Cut() // each connection is reset
//
// The pool has the settings of DB's pools. Set fxdb.Config's ConnectionTimeout by [Config] if
// the test waits for the pool's patience. The end of the test restores the network.
func Faulty(t testing.TB, opts ...Option) (*fxdb.DB, *Network) {
	t.Helper()
	d, err := newDatabase(t, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	proxy, err := faultproxy.New(t, d.config.URL)
	if err != nil {
		t.Fatalf("testkit: Faulty: %v", err)
	}
	if d.config.URL, err = through(proxy.Addr(), d.config.URL); err != nil {
		t.Fatalf("testkit: Faulty: %v", err)
	}
	n := &Network{proxy: proxy, lost: make(map[*pgx.Conn]bool)}
	networks.Lock()
	networks.of[d.name] = n
	networks.Unlock()
	t.Cleanup(func() {
		networks.Lock()
		delete(networks.of, d.name)
		networks.Unlock()
	})
	db, err := d.open(t)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(n.Restore) // before the pool is closed
	return db, n
}

// through puts the proxy's address into a connection string.
func through(addr, connString string) (string, error) {
	cfg, err := pgx.ParseConfig(connString)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: addr, Path: "/" + cfg.Database, RawQuery: "sslmode=disable"}
	if cfg.Password != "" {
		u.User = url.UserPassword(cfg.User, cfg.Password)
	}
	if cfg.TLSConfig != nil {
		u.RawQuery = "sslmode=require"
	}
	return u.String(), nil
}

// Cut resets every connection now. New connections pass.
func (n *Network) Cut() { n.proxy.CutOnce() }

// Refuse resets every connection, and every new connection until Restore.
func (n *Network) Refuse() { n.proxy.Cut() }

// Freeze holds all data back until Restore, in both directions: the connections stay open,
// and nobody answers.
func (n *Network) Freeze() { n.proxy.Freeze() }

// Delay has each answer of the server come later by d, until Restore.
func (n *Network) Delay(d time.Duration) { n.proxy.Delay(d) }

// LoseAnswer has the next statement of the pool reach the server, and resets the connection
// instead of passing the server's answer. The server has run the statement, and the program
// does not know. In a transaction call LoseAnswer last, to lose the answer of the COMMIT. A
// result of more than 8 KB may be cut before the statement has ended.
func (n *Network) LoseAnswer() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loses = true
}

// Restore ends all faults. Reset connections stay closed, and the pool opens new connections.
func (n *Network) Restore() {
	n.mu.Lock()
	n.loses = false
	n.mu.Unlock()
	n.proxy.Restore()
}

// networks are the networks of the running tests, by database.
var networks = struct {
	sync.RWMutex
	of map[string]*Network
}{of: make(map[string]*Network)}

// networkOf returns the network below a connection, nil for none.
func networkOf(conn *pgx.Conn) *Network {
	networks.RLock()
	defer networks.RUnlock()
	if len(networks.of) == 0 || conn == nil {
		return nil
	}
	return networks.of[conn.Config().Database]
}

// starts runs when a connection sends a statement.
func (n *Network) starts(conn *pgx.Conn) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.loses {
		n.loses, n.lost[conn] = false, true
		n.proxy.LoseAnswer(clientAddr(conn))
	}
}

// prepares runs when a connection prepares a statement: the answer to the preparation is not
// lost.
func (n *Network) prepares(conn *pgx.Conn, begins bool) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !n.lost[conn]:
	case begins:
		n.proxy.KeepAnswer(clientAddr(conn))
	default:
		n.proxy.LoseAnswer(clientAddr(conn))
	}
}

// ends runs when a statement of the connection has ended.
func (n *Network) ends(conn *pgx.Conn) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.lost, conn)
}

func clientAddr(conn *pgx.Conn) net.Addr { return conn.PgConn().Conn().LocalAddr() }
