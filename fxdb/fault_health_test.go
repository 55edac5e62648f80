package fxdb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestFaultAFrozenServerIsNotReady freezes the server under load. The pool promises to
// notice within a second, which the test prints.
func TestFaultAFrozenServerIsNotReady(t *testing.T) {
	size.SkipUnlessSoak(t, "lifecycle's TestASilentServerIsNoticedAndItsReturnToo")
	t.Parallel()
	s := pgfault.Start(t)
	l := startLoad(t, s)
	m := l.db.Monitor()
	readiness := make(chan bool, 100)
	m.OnChange(func(h lifecycle.Health) { readiness <- h.Ready })
	await := func(want bool) {
		for receive(t, readiness, "a change of the readiness") != want {
		}
	}
	for _, look := range []struct {
		name   string
		notice func()
	}{
		{"reported unasked", func() { await(false) }},
		{"asked", func() {
			require.Eventually(t, func() bool { return !m.Health(within(t)).Ready }, patience, 10*time.Millisecond)
			await(false)
		}},
	} {
		l.awaitAll(t, time.Now())
		s.Freeze(t)
		began := time.Now()
		look.notice()
		took := time.Since(began)
		s.Thaw(t)
		await(true)
		t.Logf("server frozen | not ready, %s, after %v", look.name, took.Round(time.Millisecond))
	}
}

// TestFaultAFullPoolIsNotAnUnreachableServer fills pools, each of which is looked at, and
// waited for.
func TestFaultAFullPoolIsNotAnUnreachableServer(t *testing.T) {
	size.SkipUnlessSoak(t, "lifecycle's TestASaturatedPoolIsReady")
	t.Parallel()
	pools, looks, waiters := size.Of(1, 1, 4), size.Of(2, 3, 10), size.Of(5, 20, 50)
	url := pgfault.Start(t).AppURL()
	var all sync.WaitGroup
	for range pools {
		db, err := fxdb.Open(within(t), fxdb.Config{URL: url, PoolMin: faultPool, PoolMax: faultPool, ConnectionTimeout: time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
		for range faultPool {
			conn, err := db.Acquire(within(t))
			require.NoError(t, err)
			t.Cleanup(conn.Release)
		}
		for range waiters {
			all.Go(func() { awaitInVain(t, db) })
		}
		all.Go(func() {
			var last time.Time
			ready := 0 // of the looks that asked the server anew
			if !waitUntil(patience, func() bool {
				h := db.Monitor().Health(within(t))
				if h.Active != faultPool {
					t.Errorf("%d of %d connections are in use", h.Active, faultPool)
				}
				if h.Ready && h.CheckedAt.After(last) {
					last = h.CheckedAt
					ready++
				}
				return ready == looks
			}) {
				t.Errorf("%d looks found the server ready", ready)
			}
		})
	}
	all.Wait()
	t.Logf("full pool | each of %d waiting callers fails in its time, naming the holders | ready in %d looks", pools*waiters, pools*looks)
}

func awaitInVain(t *testing.T, db *fxdb.DB) {
	err := db.Ping(within(t))
	var acquireErr *fxdb.AcquireError
	if !errors.As(err, &acquireErr) || !errors.Is(err, fxdb.ErrAcquireTimeout) {
		t.Errorf("no acquire error: %v", err)
		return
	}
	if acquireErr.Waited < time.Second {
		t.Errorf("waited for %v, not a second", acquireErr.Waited)
	}
	// On a starved machine a probe may get no answer in its half second.
	if acquireErr.Connect != nil && !errors.Is(acquireErr.Connect, context.DeadlineExceeded) || len(acquireErr.Holders) == 0 {
		t.Errorf("does not say who has the connections: %v", err)
	}
}
