package lifecycle_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// The default mode must not cost the others anything while a remembered transaction
// is out.
func TestARememberedTransactionCostsOthersNothing(t *testing.T) {
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Callers = false })
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	acquire := func() {
		conn, err := m.Acquire(ctx, lifecycle.Request{Client: "other"})
		require.NoError(t, err)
		conn.Release()
	}
	acquire()
	before := testing.AllocsPerRun(200, acquire)
	tx, err := m.Acquire(bounded(t), lifecycle.Request{Client: "tx", Transaction: true}) // the first is remembered
	require.NoError(t, err)
	defer tx.Release()
	require.InDelta(t, before, testing.AllocsPerRun(200, acquire), 0.5)
}

// A probe that gets no answer in time says nothing about a goroutine that waits for itself.
func TestANestedAcquireIsNoServerThatIsAway(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startVia(t, late, func(c *lifecycle.Config) { c.Pool.MaxConns = 1 })
	tx, err := m.Acquire(bounded(t), lifecycle.Request{Client: "tx", Transaction: true}) // the first is remembered
	require.NoError(t, err)
	defer tx.Release()
	late.silence(t)
	m.SetProbeTimeout(10 * time.Millisecond)
	eventually(t, func() bool { return !m.Health(bounded(t)).Ready })
	require.Contains(t, m.Health(bounded(t)).Error, "a probe got no answer within 10ms: ")
	_, err = m.Acquire(bounded(t), lifecycle.Request{Client: "nested", Timeout: 50 * time.Millisecond})
	require.ErrorIs(t, err, lifecycle.ErrNestedAcquire)
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	require.NotContains(t, err.Error(), "can't be reached")
	require.ErrorContains(t, err, lifecycle.ErrNestedAcquire.Error())
	both := lifecycle.AcquireError{Err: lifecycle.ErrAcquireTimeout, Connect: io.EOF, Nested: true}
	require.Contains(t, both.Error(), "the server can't be reached: EOF; "+lifecycle.ErrNestedAcquire.Error())
}
