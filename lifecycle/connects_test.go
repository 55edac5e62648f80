package lifecycle_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// slowStarts holds up the server's answer to new connections, all but the first so
// many, until it is let go.
type slowStarts struct {
	base   pgconn.DialFunc
	free   atomic.Int64
	goOn   chan struct{}
	letGo  func()       // closes goOn, once
	inside atomic.Int64 // connections that wait for their first answer
	most   atomic.Int64
}

func (s *slowStarts) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := s.base(ctx, network, addr)
	if err != nil || s.free.Add(-1) >= 0 {
		return conn, err
	}
	n := s.inside.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	return &slowStart{Conn: conn, s: s}, nil
}

type slowStart struct {
	net.Conn
	s    *slowStarts
	once sync.Once
}

func (c *slowStart) Read(b []byte) (int, error) {
	c.once.Do(func() {
		<-c.s.goOn
		c.s.inside.Add(-1)
	})
	return c.Conn.Read(b)
}

func newSlowStarts(t *testing.T, free int64, change func(*lifecycle.Config)) (*slowStarts, *lifecycle.Monitor) {
	s := &slowStarts{goOn: make(chan struct{})}
	s.letGo = sync.OnceFunc(func() { close(s.goOn) })
	s.free.Store(free)
	m := newMonitor(t, newDatabase(t).URL(), func(c *lifecycle.Config) {
		s.base, c.Pool.ConnConfig.DialFunc = c.Pool.ConnConfig.DialFunc, s.dial
		c.Pool.ConnConfig.ConnectTimeout, c.AcquireTimeout = hang, hang
		change(c)
	})
	t.Cleanup(s.letGo)
	return s, m
}

func TestABurstIsNoStormOfConnects(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const burst, atOnce = 12, 8
	// The connect of the start is not held up.
	starts, m := newSlowStarts(t, 1, func(c *lifecycle.Config) { c.Pool.MinConns, c.Pool.MaxConns = 1, burst })
	require.NoError(t, m.Start(bounded(t)))
	var all sync.WaitGroup
	ctx := bounded(t)
	held := make(chan struct{})
	for range burst {
		all.Go(func() {
			conn, err := m.Acquire(ctx, lifecycle.Request{Client: "burst"})
			if err != nil {
				t.Error(err)
				return
			}
			<-held
			conn.Release()
		})
	}
	eventually(t, func() bool {
		return m.Pool().Stat().ConstructingConns() == burst-1 && starts.inside.Load() >= atOnce
	})
	starts.letGo()
	eventually(t, func() bool { return m.Pool().Stat().AcquiredConns() == burst })
	close(held)
	all.Wait()
	require.Contains(t, []int64{atOnce, atOnce + 1}, starts.most.Load(), "a look whether the server answers may stand beside")
}

func TestTheMinimumIsOpenedAtOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const minimum = 4
	starts, m := newSlowStarts(t, 1, func(c *lifecycle.Config) { c.Pool.MinConns, c.Pool.MaxConns = minimum, 10 })
	started := make(chan error, 1)
	go func() { started <- m.Start(context.Background()) }()
	eventually(t, func() bool { return starts.inside.Load() == minimum-1 }) // behind the first, which checks the server
	starts.letGo()
	require.NoError(t, receive(t, started))
	require.EqualValues(t, minimum, m.Pool().Stat().IdleConns())
}
