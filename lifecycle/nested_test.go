package lifecycle_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

// The default mode must not cost the others anything while a remembered transaction
// is out.
func TestARememberedTransactionCostsOthersNothing(t *testing.T) {
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
