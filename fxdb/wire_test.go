package fxdb_test

import (
	"bytes"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

// wire is what lies between a pool and its server: it counts flights (how often the
// client speaks after the server, all connections together), delays answers, and
// cuts connections.
type wire struct {
	URL     string
	db      *fxdb.DB // without the wire
	flights atomic.Int64
	delay   time.Duration

	mu   sync.Mutex
	cut  func(toServer []byte) (forward, cut bool)
	ends map[net.Conn]bool // the clients'
}

// newWire lays a wire to the database of a test's own. change is for the URL's
// parameters.
func newWire(t testing.TB, delay time.Duration, change ...func(url.Values)) *wire {
	t.Helper()
	db := notesDB(t, testkit.Config(one))
	return layWire(t, delay, db, filepath.Join(db.Pool().Config().ConnConfig.Host, ".s.PGSQL.5432"), change...)
}

// layWire lays a wire to whatever leads to the database at a socket.
func layWire(t testing.TB, delay time.Duration, db *fxdb.DB, server string, change ...func(url.Values)) *wire {
	t.Helper()
	cfg := db.Pool().Config().ConnConfig
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	params := url.Values{"host": {dir}, "user": {cfg.User}}
	for _, c := range change {
		c(params)
	}
	w := &wire{db: db, URL: (&url.URL{Scheme: "postgres", Path: "/" + cfg.Database, RawQuery: params.Encode()}).String(), delay: delay, ends: make(map[net.Conn]bool)}
	var all sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(client, server) })
		}
	})
	return w
}

func (w *wire) carry(client net.Conn, addr string) {
	server, err := net.Dial("unix", addr)
	if err != nil {
		client.Close()
		return
	}
	w.mu.Lock()
	w.ends[client] = true
	w.mu.Unlock()
	var both sync.WaitGroup
	var clientSpoke, mute atomic.Bool
	end := func() { client.Close(); server.Close() }
	both.Go(func() {
		defer end()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if !clientSpoke.Swap(true) {
				w.flights.Add(1)
			}
			forward, cut := w.judge(buf[:n])
			if cut && !forward {
				return
			}
			mute.Store(cut) // the answer's arrival ends it: then it has run
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer end()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || mute.Load() {
				return
			}
			if clientSpoke.Swap(false) && w.delay > 0 {
				<-time.After(w.delay) // the distance
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Wait()
}

func (w *wire) judge(b []byte) (forward, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		return true, false
	}
	return w.cut(b)
}

// cutAt cuts the connection, once, when the client sends text: before the server
// has it, or after.
func (w *wire) cutAt(text string, delivered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = func(b []byte) (forward, cut bool) {
		if !bytes.Contains(b, []byte(text)) {
			return true, false
		}
		w.cut = nil
		return delivered, true
	}
}

// cutAlways cuts every connection whose client sends text.
func (w *wire) cutAlways(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = func(b []byte) (forward, cut bool) {
		cut = bytes.Contains(b, []byte(text))
		return !cut, cut
	}
}

// cutNow cuts every connection.
func (w *wire) cutNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.ends {
		c.Close()
	}
}

// during counts the flights of fn.
func (w *wire) during(t testing.TB, fn func() error) int64 {
	t.Helper()
	before := w.flights.Load()
	require.NoError(t, fn())
	return w.flights.Load() - before
}

// open opens a pool at the wire's other end.
func (w *wire) open(t testing.TB, change ...func(*fxdb.Config)) *fxdb.DB {
	t.Helper()
	cfg := fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	return db
}
