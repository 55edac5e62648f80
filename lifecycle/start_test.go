package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// lateServer is an address that refuses connections until it is opened; from
// then on it passes them to the server.
type lateServer struct {
	listener atomic.Pointer[net.Listener]
	refused  atomic.Int32 // attempts to connect while it was closed
	path     string
}

func newLateServer(t *testing.T) *lateServer {
	t.Helper()
	return &lateServer{path: filepath.Join(t.TempDir(), ".s.PGSQL.5432")}
}

func (l *lateServer) open(t *testing.T, s *pgfault.Server) {
	t.Helper()
	ln, err := net.Listen("unix", l.path)
	require.NoError(t, err)
	l.listener.Store(&ln)
	t.Cleanup(func() { ln.Close() })
	go s.Forward(ln)
}

func (l *lateServer) close(t *testing.T) {
	t.Helper()
	require.NoError(t, (*l.listener.Load()).Close())
}

// via connects through l.
func (l *lateServer) via(c *lifecycle.Config) {
	c.Pool.ConnConfig.Host = filepath.Dir(l.path)
	dial := c.Pool.ConnConfig.DialFunc
	c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			l.refused.Add(1)
		}
		return conn, err
	}
}

func TestStartRequireFailsAtOnce(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	m := newMonitor(t, s.URL(), late.via)
	err := m.Start(t.Context())
	require.ErrorContains(t, err, late.path)
	require.ErrorIs(t, m.Start(t.Context()), lifecycle.ErrDraining, "a failed start is final")
}

func TestStartWaitTriesUntilTheServerIsThere(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	var attempts atomic.Int32
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Start = lifecycle.StartWait
		dial := c.Pool.ConnConfig.DialFunc
		c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if attempts.Add(1) == 3 {
				late.open(t, s)
			}
			return dial(ctx, network, addr)
		}
	})
	require.NoError(t, m.Start(t.Context()))
	require.True(t, m.Started())
	require.GreaterOrEqual(t, attempts.Load(), int32(3))
}

func TestStartWaitGivesUpAtItsShareOfTheDeadline(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartWait })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := m.Start(ctx)
	require.ErrorContains(t, err, "gave up after")
	require.ErrorContains(t, err, late.path, "the reason is lost")
	require.NoError(t, ctx.Err(), "nothing was left for the hooks that follow")
}

func TestStartWaitDoesNotTryAgainWhatCannotGetBetter(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	boom := errors.New("a migration failed")
	calls := 0
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.Start = lifecycle.StartWait
		c.BeforeReady = func(context.Context) error { calls++; return boom }
	})
	require.ErrorIs(t, m.Start(t.Context()), boom)
	require.Equal(t, 1, calls)

	m = newMonitor(t, s.DatabaseURL("postgres", "no_such_database"), func(c *lifecycle.Config) { c.Start = lifecycle.StartWait })
	require.ErrorContains(t, m.Start(t.Context()), "no_such_database")
}

func TestStartDegradeConnectsInTheBackground(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
	require.NoError(t, m.Start(t.Context()))
	require.False(t, m.Started())
	_, err := m.Acquire(t.Context(), lifecycle.Request{Client: "early"})
	require.ErrorIs(t, err, lifecycle.ErrNotStarted)
	require.ErrorContains(t, err, late.path, "why it is not started")
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()))
	require.Equal(t, http.StatusOK, status(m.Live()))

	late.open(t, s)
	require.Eventually(t, m.Started, time.Minute, time.Millisecond)
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "late"})
	require.NoError(t, err)
	conn.Release()
	require.Equal(t, http.StatusOK, status(m.Ready()))
}

func TestADrainEndsTheBackgroundStart(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
	require.NoError(t, m.Start(t.Context()))
	_, err := lifecycle.Drain(t.Context(), m, time.Minute)
	require.NoError(t, err)
	require.ErrorIs(t, m.Start(t.Context()), lifecycle.ErrDraining)
}

func TestWhyTheStartFailsIsToldWhileItGoesOnTrying(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	late := newLateServer(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
	require.NoError(t, m.Start(t.Context()))
	for late.refused.Load() < 4 {
		_, err := m.Acquire(t.Context(), lifecycle.Request{Client: "early"})
		require.ErrorIs(t, err, lifecycle.ErrNotStarted)
		require.ErrorContains(t, err, late.path)
	}
}
