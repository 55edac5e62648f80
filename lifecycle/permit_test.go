package lifecycle_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/admission"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// TestAPermitComesBackWithItsPlace holds up the cancel request of a connection that
// broke: until that is done the pool has no place for another.
func TestAPermitComesBackWithItsPlace(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	a, err := admission.New(admission.Config{Capacity: 1})
	require.NoError(t, err)
	var hold atomic.Bool
	goOn := make(chan struct{})
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns, c.Admission = 1, 1, a
		dial := c.Pool.ConnConfig.DialFunc
		c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hold.Load() {
				<-goOn
			}
			return dial(ctx, network, addr)
		}
	})
	require.NoError(t, m.Start(t.Context()))
	share := a.Client("worker")
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "worker", Share: share})
	require.NoError(t, err)
	hold.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = conn.Exec(ctx, "select pg_sleep(60)")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	conn.Release()
	require.Empty(t, m.Holders())
	require.Zero(t, a.Stats().Free)
	next := make(chan error, 1)
	go func() {
		conn, err := m.Acquire(context.Background(), lifecycle.Request{Client: "worker", Share: share})
		if err == nil {
			conn.Release()
		}
		next <- err
	}()
	require.Eventually(t, func() bool { return a.Stats().Waiting == 1 }, time.Minute, time.Millisecond, "it waits for its turn")
	hold.Store(false)
	close(goOn)
	require.NoError(t, <-next)
	require.Equal(t, 1, a.Stats().Free)
}
