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
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

// A dead network is noticed within five seconds by keepalive and user timeout. The tests
// print how long it took, and bound it by patience.

func TestFaultOfTheNetwork(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	s := pgfault.Start(t)
	p := s.Proxy(t)
	l := startLoad(t, s, func(c *fxdb.Config) { c.URL = p.DatabaseURL(devdb.RoleApp, "faults") })
	l.serverLags = true
	t.Run("reset", func(t *testing.T) {
		l.during(t, "all connections are reset, new ones too for 0.3 s", size.Of(1, 1, 3), func() {
			p.Cut()
			<-time.After(300 * time.Millisecond) // the fault's length
			p.Restore()
		})
	})
	t.Run("packets vanish", func(t *testing.T) {
		l.during(t, "packets of all open connections vanish", 1, func() { p.Blackhole(t, false) })
		require.Less(t, time.Duration(l.longest.Load()), patience, "a caller without a deadline was kept")
	})
	l.finish(t)
}

func TestFaultTheNetworkIsDead(t *testing.T) {
	size.SkipUnlessSoak(t, "TestFaultOfTheNetwork")
	t.Parallel()
	p := pgfault.Start(t).Proxy(t)
	db, err := fxdb.Open(within(t), fxdb.Config{
		URL: p.DatabaseURL(devdb.RoleApp, "postgres"), PoolMin: faultPool, PoolMax: faultPool, ConnectionTimeout: 4 * time.Second,
	})
	require.NoError(t, err)
	defer db.Close(context.Background())

	dead := make(chan struct{}) // closed when it is
	var began time.Time
	var all sync.WaitGroup
	var mu sync.Mutex
	free := make(map[string]time.Duration) // the last of a kind
	caller := func(what string, call func(ctx context.Context) error) {
		ctx := t.Context() // it has no deadline
		all.Go(func() {
			err := call(ctx)
			<-dead
			took := time.Since(began)
			if err == nil {
				t.Errorf("%s: no error", what)
			}
			mu.Lock()
			defer mu.Unlock()
			free[what] = max(free[what], took.Round(10*time.Millisecond))
		})
	}
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	for range faultPool / 5 {
		caller("waits for an answer", func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select pg_sleep(3600)")
			return err
		})
		caller("a tenant's, waits for an answer", func(context.Context) error {
			_, err := db.Exec(acme, "select pg_sleep(3600)")
			return err
		})
		caller("waits for an answer, may be sent again", func(ctx context.Context) error {
			_, err := db.Exec(fxdb.Idempotent(ctx), "select pg_sleep(3600)")
			return err
		})
		caller("a tenant's, waits for an answer, may be sent again", func(context.Context) error {
			_, err := db.Exec(fxdb.Idempotent(acme), "select pg_sleep(3600)")
			return err
		})
		conn, err := db.Acquire(t.Context())
		require.NoError(t, err)
		caller("sends", func(ctx context.Context) error {
			defer conn.Release()
			<-dead
			_, err := conn.Exec(ctx, "select 1")
			return err
		})
	}
	require.Eventually(t, func() bool { return db.Stats().Active == faultPool }, patience, time.Millisecond)
	for range faultPool {
		caller("waits for a connection", func(ctx context.Context) error {
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
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	receive(t, over, "all callers are free")
	require.Eventually(t, func() bool { return db.Stats().Total == 0 }, patience, time.Millisecond, "lost connections keep their places in the pool")
	closed := time.Since(began)

	p.Restore()
	back := time.Now()
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, patience, time.Millisecond)
	t.Logf("network dead | all callers fail | free after %v, their places in the pool after %.2f s, an answer %.2f s after the network's return",
		free, closed.Seconds(), time.Since(back).Seconds())
}

func TestFaultTheFirstOfTwoHostsIsDead(t *testing.T) {
	size.SkipUnlessSoak(t, "TestFaultOfTheNetwork")
	t.Parallel()
	s := pgfault.Start(t)
	first, second := s.Proxy(t), s.Proxy(t)
	first.Blackhole(t, true)
	u, err := url.Parse(second.DatabaseURL(devdb.RoleApp, "postgres"))
	require.NoError(t, err)
	u.Host = first.Addr() + "," + u.Host
	// The second host has its turn after half of this time, and the other half.
	db, err := fxdb.Open(within(t), fxdb.Config{URL: u.String(), PoolMin: 0, PoolMax: 1, ConnectionTimeout: 4 * time.Second})
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.NoError(t, db.Ping(within(t)))
}
