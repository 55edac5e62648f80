package fxdb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// TestFaultAFrozenServerIsNotReady freezes the server under load, and has a try for
// each promise kept on a machine that is not too busy: all are within slowMachine of it.
func TestFaultAFrozenServerIsNotReady(t *testing.T) {
	noLeaks(t)
	const promise, tries = time.Second, 6
	s := pgfault.Start(t)
	l := startLoad(t, s)
	m := l.db.Monitor()
	readiness := make(chan bool, 100)
	m.OnChange(func(h lifecycle.Health) { readiness <- h.Ready })
	await := func(want bool) {
		for ready := range readiness {
			if ready == want {
				return
			}
		}
	}
	for _, look := range []struct {
		name   string
		notice func()
	}{
		{"told unasked", func() { await(false) }},
		{"asked", func() {
			require.Eventually(t, func() bool { return !m.Health(t.Context()).Ready }, time.Minute, 10*time.Millisecond)
			await(false)
		}},
	} {
		var took []time.Duration
		for kept := false; !kept; {
			l.awaitAll(t, time.Now())
			s.Freeze(t)
			began := time.Now()
			look.notice()
			took = append(took, time.Since(began).Round(time.Millisecond))
			s.Thaw(t)
			await(true)
			last := took[len(took)-1]
			kept = last < promise
			require.Less(t, last, promise+slowMachine)
			require.True(t, kept || len(took) < tries, "%s: not once within %v: %v", look.name, promise, took)
		}
		t.Logf("server frozen | not ready, %s, after %v", look.name, took)
	}
}

func TestFaultAFullPoolIsNotAnUnreachableServer(t *testing.T) {
	noLeaks(t)
	const pools, looks, waiters = 4, 40, 200 // with one pool the looks alone would take 12 s
	url := pgfault.Start(t).AppURL()
	t.Run("pools", func(t *testing.T) {
		for range pools {
			t.Run("pool", func(t *testing.T) {
				t.Parallel()
				checkFullPool(t, url, looks/pools, waiters/pools)
			})
		}
	})
	t.Logf("full pool | each of %d waiting callers fails in its time, naming the holders | ready in %d of %d looks", waiters, looks, looks)
}

func checkFullPool(t *testing.T, url string, looks, waiters int) {
	const patience = time.Second
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, PoolMin: faultPool, PoolMax: faultPool, ConnectionTimeout: patience})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	var all sync.WaitGroup
	defer all.Wait()
	for range faultPool {
		conn, err := db.Acquire(t.Context())
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}
	for range waiters {
		all.Go(func() { awaitInVain(t, db, patience) })
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last time.Time
	for n := 0; n < looks; <-tick.C {
		h := db.Monitor().Health(t.Context())
		require.True(t, h.Ready, h.Error)
		require.Equal(t, faultPool, h.Active)
		if h.CheckedAt.After(last) { // the server was asked anew
			last = h.CheckedAt
			n++
		}
	}
}

func awaitInVain(t *testing.T, db *fxdb.DB, patience time.Duration) {
	began := time.Now()
	err := db.Ping(context.Background())
	took := time.Since(began)
	var acquireErr *fxdb.AcquireError
	if !errors.As(err, &acquireErr) || !errors.Is(err, fxdb.ErrAcquireTimeout) {
		t.Errorf("no acquire error: %v", err)
		return
	}
	if took < patience || took > patience+slowMachine {
		t.Errorf("waited %v, not %v", took, patience)
	}
	if acquireErr.Connect != nil || len(acquireErr.Holders) == 0 {
		t.Errorf("does not say who has the connections: %v", err)
	}
}
