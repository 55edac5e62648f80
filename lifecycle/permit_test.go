package lifecycle_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestAPermitComesBackWithItsPlace holds up the cancel request of a connection that
// broke: until that is done the pool has no place for another.
func TestAPermitComesBackWithItsPlace(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	a, err := admission.New(admission.Config{Capacity: 1})
	require.NoError(t, err)
	var hold atomic.Bool
	goOn := make(chan struct{})
	m, db := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns, c.Admission = 1, 1, a
		dial := c.Pool.ConnConfig.DialFunc
		c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hold.Load() {
				<-goOn
			}
			return dial(ctx, network, addr)
		}
	})
	permits := a.Client("worker")
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "worker", Permits: permits})
	require.NoError(t, err)
	hold.Store(true)
	giveUp(t, db, conn)
	conn.Release()
	require.Empty(t, m.Holders())
	require.Zero(t, a.Stats().Free)
	next := make(chan error, 1)
	go func() {
		conn, err := m.Acquire(context.Background(), lifecycle.Request{Client: "worker", Permits: permits})
		if err == nil {
			conn.Release()
		}
		next <- err
	}()
	eventually(t, func() bool { return a.Stats().Waiting == 1 }, "it waits for its turn")
	hold.Store(false)
	close(goOn)
	require.NoError(t, receive(t, next))
	require.Equal(t, 1, a.Stats().Free)
}
