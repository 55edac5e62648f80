package fxdb_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
)

// A dead network is noticed within five seconds by keepalive and user timeout; what
// is beyond that is for a slow machine.
const (
	deadNetwork = 5 * time.Second
	slowMachine = 3 * time.Second
)

func TestFaultOfTheNetwork(t *testing.T) {
	noLeaks(t)
	s := pgfault.Start(t)
	p := s.Proxy(t)
	l := startLoad(t, s, func(c *fxdb.Config) { c.URL = p.DatabaseURL(devdb.App, "faults") })
	l.serverLags = true
	t.Run("reset", func(t *testing.T) {
		l.during(t, "all connections are reset, new ones too for 0.3 s", 3, func() {
			p.Cut()
			<-time.After(300 * time.Millisecond)
			p.Restore()
		})
	})
	t.Run("packets vanish", func(t *testing.T) {
		l.during(t, "packets of all open connections vanish", 1, func() { p.Blackhole(t, false) })
		require.Less(t, time.Duration(l.longest.Load()), deadNetwork+slowMachine, "a caller without a deadline was kept")
	})
	l.finish(t)
}

func TestFaultTheNetworkIsDead(t *testing.T) {
	noLeaks(t)                       // so it is not parallel
	const patience = 4 * time.Second // for a connection
	p := pgfault.Start(t).Proxy(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{
		URL: p.DatabaseURL(devdb.App, "postgres"), PoolMin: faultPool, PoolMax: faultPool, ConnectionTimeout: patience,
	})
	require.NoError(t, err)
	defer db.Close(context.Background())

	dead := make(chan struct{}) // closed when it is
	var began time.Time
	var all sync.WaitGroup
	var mu sync.Mutex
	free := make(map[string]time.Duration) // the last of a kind
	caller := func(what string, most time.Duration, call func(ctx context.Context) error) {
		all.Go(func() {
			err := call(t.Context())
			<-dead
			took := time.Since(began)
			if took > most+slowMachine || err == nil {
				t.Errorf("%s: free after %v: %v", what, took, err)
			}
			mu.Lock()
			defer mu.Unlock()
			free[what] = max(free[what], took.Round(10*time.Millisecond))
		})
	}
	for range faultPool / 5 {
		caller("waits for an answer", deadNetwork, func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select pg_sleep(60)")
			return err
		})
		caller("a tenant's, waits for an answer", deadNetwork, func(context.Context) error {
			_, err := db.Exec(as(t, "acme"), "select pg_sleep(60)")
			return err
		})
		caller("waits for an answer, may be sent again", deadNetwork, func(ctx context.Context) error {
			_, err := db.Exec(fxdb.Idempotent(ctx), "select pg_sleep(60)")
			return err
		})
		caller("a tenant's, waits for an answer, may be sent again", deadNetwork, func(context.Context) error {
			_, err := db.Exec(fxdb.Idempotent(as(t, "acme")), "select pg_sleep(60)")
			return err
		})
		conn, err := db.Acquire(t.Context())
		require.NoError(t, err)
		caller("sends", deadNetwork, func(ctx context.Context) error {
			defer conn.Release()
			<-dead
			_, err := conn.Exec(ctx, "select 1")
			return err
		})
	}
	require.Eventually(t, func() bool { return db.Stats().Active == faultPool }, time.Minute, time.Millisecond)
	for range faultPool {
		caller("waits for a connection", patience, func(ctx context.Context) error {
			<-dead
			err := db.Ping(ctx)
			var acquireErr *fxdb.AcquireError
			if !errors.As(err, &acquireErr) || acquireErr.Connect == nil {
				t.Errorf("it does not say that the server can't be reached: %v", err)
			}
			return err
		})
	}
	p.Blackhole(t, true)
	began = time.Now()
	close(dead)
	all.Wait()
	require.Eventually(t, func() bool { return db.Stats().Total == 0 }, slowMachine, time.Millisecond, "lost connections keep their places in the pool")
	closed := time.Since(began)

	p.Restore()
	back := time.Now()
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, time.Minute, time.Millisecond)
	t.Logf("network dead | all callers fail | free after %v, their places in the pool after %.2f s, an answer %.2f s after the network's return",
		free, closed.Seconds(), time.Since(back).Seconds())
}

func TestFaultTheFirstOfTwoHostsIsDead(t *testing.T) {
	noLeaks(t)
	s := pgfault.Start(t)
	first, second := s.Proxy(t), s.Proxy(t)
	first.Blackhole(t, true)
	u, err := url.Parse(second.DatabaseURL(devdb.App, "postgres"))
	require.NoError(t, err)
	u.Host = first.Addr() + "," + u.Host
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: u.String(), PoolMin: 0, PoolMax: 1, ConnectionTimeout: 4 * time.Second})
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.NoError(t, db.Ping(t.Context()))
}
