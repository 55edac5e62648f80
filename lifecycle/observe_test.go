package lifecycle_test

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// record holds the calls of an observer.
type record struct {
	mu        sync.Mutex
	acquired  map[string]int
	waited    map[string]time.Duration
	failed    map[string]error
	released  map[string]int
	held      map[string]time.Duration
	connected map[string]int
}

func newRecord() *record {
	return &record{
		acquired: map[string]int{}, waited: map[string]time.Duration{}, failed: map[string]error{},
		released: map[string]int{}, held: map[string]time.Duration{}, connected: map[string]int{},
	}
}

func (r *record) Acquired(client string, waited time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acquired[client]++
	r.waited[client] += waited
	r.failed[client] = err
}

func (r *record) Released(client string, held time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released[client]++
	r.held[client] += held
}

func (r *record) Connected(client string, _ time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.connected[client]++
	}
}

// counts are copies.
func (r *record) counts() (acquired, released, connected map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.acquired), maps.Clone(r.released), maps.Clone(r.connected)
}

func TestAnObserverGetsTheClient(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m := newMonitor(t, newDatabase(t).URL(), func(c *lifecycle.Config) { c.Pool.MinConns = 0 })
	r := newRecord()
	stop := m.Observe(r)
	require.NoError(t, m.Start(bounded(t))) // checks the server over a connection, and finds the connection idle
	for range 3 {
		defer acquire(t, m, "worker").Release()
	}
	require.NoError(t, m.Pool().Ping(bounded(t)))

	acquired, released, connected := r.counts()
	require.Equal(t, map[string]int{"start": 2, "worker": 3, "raw pool": 1}, acquired)
	require.Equal(t, map[string]int{"start": 2, "raw pool": 1}, released)
	require.Equal(t, map[string]int{"start": 1, "worker": 2, "raw pool": 1}, connected)

	stop()
	require.NoError(t, m.Pool().Ping(bounded(t)))
	acquired, _, _ = r.counts()
	require.Equal(t, 1, acquired["raw pool"], "the observer got the acquire after the end")
}

func TestAnObserverGetsWaitsAndFailures(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m := newMonitor(t, newDatabase(t).URL(), func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns = 1, 1
		c.Pool.ShouldPing = neverPing
		c.AcquireTimeout = 50 * time.Millisecond
	})
	r := newRecord()
	m.Observe(r)
	require.NoError(t, m.Start(bounded(t)))
	conn := acquire(t, m, "holder")
	_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	_, err = m.Pool().Acquire(bounded(t))
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	_, err = conn.Exec(bounded(t), "select pg_sleep(0.01)")
	require.NoError(t, err)
	conn.Release()
	require.GreaterOrEqual(t, r.held["holder"], 10*time.Millisecond)
	for _, client := range []string{"late", "raw pool"} {
		require.ErrorIs(t, r.failed[client], lifecycle.ErrAcquireTimeout)
		require.GreaterOrEqual(t, r.waited[client], 50*time.Millisecond)
		require.Zero(t, r.released[client])
	}
}
