// Package wire carries the connections between a pool and the server in tests. A [Wire]
// counts how often the client speaks after the server, delays answers, and cuts
// connections.
//
// On a busy machine a pool sends data that no caller asked for: looks at the server's
// health, and, before a statement, pings of a connection that was idle for a second. The
// count leaves both out.
package wire

import (
	"bytes"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Wire leads to a database.
type Wire struct {
	// URL is the connection string of the wire's near end.
	URL string

	flights atomic.Int64
	pings   atomic.Int64 // flights of pings alone
	delay   time.Duration

	mu    sync.Mutex
	judge func(toServer []byte) (forward, cut bool)
	ends  map[net.Conn]bool // the clients' ends
}

// Lay lays a wire to the database and role of to at the server's socket, until the
// test ends. Each answer comes later by delay. change sets parameters of the URL.
func Lay(t testing.TB, delay time.Duration, to *pgx.ConnConfig, server string, change ...func(url.Values)) *Wire {
	t.Helper()
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, Socket))
	if err != nil {
		t.Fatal(err)
	}
	params := url.Values{"host": {dir}, "user": {to.User}}
	for _, c := range change {
		c(params)
	}
	u := url.URL{Scheme: "postgres", Path: "/" + to.Database, RawQuery: params.Encode()}
	w := &Wire{URL: u.String(), delay: delay, ends: make(map[net.Conn]bool)}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
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

// Socket is the file name of a server's socket.
const Socket = ".s.PGSQL.5432"

func (w *Wire) carry(client net.Conn, addr string) {
	server, err := net.Dial("unix", addr)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.ends[client] = true
	w.mu.Unlock()
	var both sync.WaitGroup
	var clientSpoke, mute atomic.Bool
	end := func() { _, _ = client.Close(), server.Close() }
	both.Go(func() {
		defer end()
		buf := make([]byte, 64<<10)
		counts := true
		for first := true; ; first = false {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if first {
				counts = !bytes.Contains(buf[:n], []byte("/health\x00"))
			}
			switch spoke := clientSpoke.Swap(true); {
			case spoke || !counts:
			case n == 5 && buf[0] == 'X': // a goodbye: nobody waits for an answer
			case bytes.Contains(buf[:n], []byte("-- ping\x00")):
				w.pings.Add(1)
			default:
				w.flights.Add(1)
			}
			forward, cut := w.judged(buf[:n])
			if cut && !forward {
				return
			}
			mute.Store(cut) // the answer's arrival ends the connection: the statement has run
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

func (w *Wire) judged(b []byte) (forward, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.judge == nil {
		return true, false
	}
	return w.judge(b)
}

// Judge shows fn all data of the clients. fn returns whether the wire cuts the connection:
// at once if forward is false, or when the server's answer to the data comes.
func (w *Wire) Judge(fn func(toServer []byte) (forward, cut bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judge = fn
}

// CutAt cuts the connection, once, when a client sends text: before the server has the
// text or, if delivered is true, when the answer comes.
func (w *Wire) CutAt(text string, delivered bool) {
	done := false
	w.Judge(func(b []byte) (forward, cut bool) {
		if done || !bytes.Contains(b, []byte(text)) {
			return true, false
		}
		done = true
		return delivered, true
	})
}

// CutAlways cuts every connection whose client sends text.
func (w *Wire) CutAlways(text string) {
	w.Judge(func(b []byte) (forward, cut bool) {
		cut = bytes.Contains(b, []byte(text))
		return !cut, cut
	})
}

// CutNow cuts every connection.
func (w *Wire) CutNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.ends {
		_ = c.Close()
	}
}

// During counts the flights of fn: how often a client spoke after the server, on all
// connections together, without the connections of the pool's probe.
func (w *Wire) During(t testing.TB, fn func() error) int64 {
	t.Helper()
	before, pings := w.flights.Load(), w.pings.Load()
	if err := fn(); err != nil {
		t.Fatal(err)
	}
	if n := w.flights.Load() - before; n > 0 {
		return n
	}
	return w.pings.Load() - pings // fn only pings
}
