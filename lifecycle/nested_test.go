package lifecycle_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// The default mode must not cost the others anything while a remembered transaction
// is out.
func TestARememberedTransactionCostsOthersNothing(t *testing.T) {
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Callers = false })
	require.NoError(t, m.Start(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	acquire := func() {
		conn, err := m.Acquire(ctx, lifecycle.Request{Client: "other"})
		require.NoError(t, err)
		conn.Release()
	}
	acquire()
	before := testing.AllocsPerRun(200, acquire)
	tx, err := m.Acquire(t.Context(), lifecycle.Request{Client: "tx", Transaction: true}) // the first is remembered
	require.NoError(t, err)
	defer tx.Release()
	require.InDelta(t, before, testing.AllocsPerRun(200, acquire), 0.5)
}
