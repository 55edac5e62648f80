package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// lateServer is an address that refuses connections until it is opened; from
// then on it passes them to the server.
type lateServer struct {
	listener atomic.Pointer[net.Listener]
	refused  atomic.Int32 // attempts to connect while it was closed
	path     string
	db       *database // that was behind it last
}

func newLateServer(t *testing.T) *lateServer {
	t.Helper()
	return &lateServer{path: filepath.Join(t.TempDir(), ".s.PGSQL.5432")}
}

func (l *lateServer) open(t *testing.T, db *database) {
	t.Helper()
	ln, err := net.Listen("unix", l.path)
	require.NoError(t, err)
	l.listener.Store(&ln)
	t.Cleanup(func() { ln.Close() })
	l.db = db
	go db.Forward(ln)
}

func (l *lateServer) close(t *testing.T) {
	t.Helper()
	require.NoError(t, (*l.listener.Load()).Close())
}

// silence takes new connections, and says nothing on them, as a server that is frozen does.
func (l *lateServer) silence(t *testing.T) {
	t.Helper()
	l.close(t)
	l.listen(t)
}

func (l *lateServer) listen(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("unix", l.path)
	require.NoError(t, err)
	l.listener.Store(&ln)
	t.Cleanup(func() { ln.Close() })
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

// nowhere is the address of no server. To look a name up would leave the bubble of a fake clock.
const nowhere = "postgres://nobody@/none?host=/nowhere"

func TestStartRequireFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := newLateServer(t)
		m := newMonitor(t, nowhere, late.via)
		began := time.Now()
		err := m.Start(t.Context())
		require.Zero(t, time.Since(began), "it waited for the server")
		require.ErrorContains(t, err, late.path)
		require.ErrorIs(t, m.Start(t.Context()), lifecycle.ErrDraining, "a failed start is final")
	})
}

func TestStartWaitTriesUntilTheServerIsThere(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, late := newDatabase(t), newLateServer(t)
	var attempts atomic.Int32
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Start = lifecycle.StartWait
		dial := c.Pool.ConnConfig.DialFunc
		c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if attempts.Add(1) == 3 {
				late.open(t, db)
			}
			return dial(ctx, network, addr)
		}
	})
	require.NoError(t, m.Start(bounded(t)))
	require.True(t, m.Started())
	require.GreaterOrEqual(t, attempts.Load(), int32(3))
}

func TestStartWaitGivesUpAtItsShareOfTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := newLateServer(t)
		m := newMonitor(t, nowhere, func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartWait })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := m.Start(ctx)
		require.ErrorContains(t, err, "gave up after")
		require.ErrorContains(t, err, late.path, "the reason is lost")
		require.Equal(t, 48*time.Second, time.Since(began), "four fifths: the rest is for the hooks that follow")
	})
}

func TestStartWaitDoesNotTryAgainWhatCannotGetBetter(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	boom := errors.New("a migration failed")
	calls := 0
	m, db := buildPool(t, func(c *lifecycle.Config) {
		c.Start = lifecycle.StartWait
		c.BeforeReady = func(context.Context) error { calls++; return boom }
	})
	require.ErrorIs(t, m.Start(bounded(t)), boom)
	require.Equal(t, 1, calls)

	m = newMonitor(t, db.server.DatabaseURL("postgres", "no_such_database"), func(c *lifecycle.Config) { c.Start = lifecycle.StartWait })
	require.ErrorContains(t, m.Start(bounded(t)), "no_such_database")
}

func TestStartDegradeConnectsInTheBackground(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, late := newDatabase(t), newLateServer(t)
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
	require.NoError(t, m.Start(bounded(t)))
	require.False(t, m.Started())
	_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "early"})
	require.ErrorIs(t, err, lifecycle.ErrNotStarted)
	require.ErrorContains(t, err, late.path, "why it is not started")
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()))
	require.Equal(t, http.StatusOK, status(m.Live()))

	late.open(t, db)
	eventually(t, m.Started)
	acquire(t, m, "late").Release()
	require.Equal(t, http.StatusOK, status(m.Ready()))
}

func TestADrainEndsTheBackgroundStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		late := newLateServer(t)
		m := newMonitor(t, nowhere, func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
		require.NoError(t, m.Start(t.Context()))
		<-time.After(time.Hour) // of attempts
		began := time.Now()
		_, err := lifecycle.Drain(t.Context(), m, time.Minute)
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, m.Start(t.Context()), lifecycle.ErrDraining)
	})
}

func TestTheReasonOfAFailingStartIsLoggedDuringTheRetries(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		late := newLateServer(t)
		m := newMonitor(t, nowhere, func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
		require.NoError(t, m.Start(t.Context()))
		for late.refused.Load() < 10 {
			_, err := m.Acquire(t.Context(), lifecycle.Request{Client: "early"})
			require.ErrorIs(t, err, lifecycle.ErrNotStarted)
			require.ErrorContains(t, err, late.path)
			<-time.After(10 * time.Millisecond)
		}
	})
}

// TestStartIsNotBoundByTheAcquireTimeout holds up the answer to the pool's first
// connection. The timeout is over before.
func TestStartIsNotBoundByTheAcquireTimeout(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	begin := func(ctx context.Context, t *testing.T) (*slowStarts, *lifecycle.Monitor, <-chan error) {
		starts, m := newSlowStarts(t, 0, func(c *lifecycle.Config) { c.Pool.MinConns, c.AcquireTimeout = 1, time.Nanosecond })
		started := make(chan error, 1)
		go func() { started <- m.Start(ctx) }()
		eventually(t, func() bool { return starts.inside.Load() == 1 || len(started) > 0 })
		select {
		case err := <-started:
			t.Fatalf("the start did not wait for its connection: %v", err)
		case <-time.After(10 * time.Millisecond): // where the timeout counts it shows at once
		}
		return starts, m, started
	}
	t.Run("it waits for its connections", func(t *testing.T) {
		t.Parallel()
		starts, m, started := begin(bounded(t), t)
		starts.letGo()
		require.NoError(t, receive(t, started))
		require.Equal(t, lifecycle.Healthy, m.Health(bounded(t)).Status, "what Start waits for says nothing about the pool")
	})
	t.Run("as long as its context lasts", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		_, _, started := begin(ctx, t)
		cancel()
		require.ErrorIs(t, receive(t, started), context.Canceled)
	})
}

// TestAStartThatFailsLeavesNothing drains nothing: goroutines are counted when the last
// test has ended.
func TestAStartThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	boom := errors.New("boom")
	for name, change := range map[string]func(*lifecycle.Config){
		"before the pool": func(c *lifecycle.Config) { c.BeforeReady = func(context.Context) error { return boom } },
		"with connections open": func(c *lifecycle.Config) {
			var opened atomic.Int32
			c.Pool.MinConns = 3
			c.Pool.AfterConnect = func(context.Context, *pgx.Conn) error {
				if opened.Add(1) == 3 {
					return boom
				}
				return nil
			}
		},
	} {
		pc, err := pgxpool.ParseConfig(db.URL())
		require.NoError(t, err)
		pc.ConnConfig.RuntimeParams["application_name"] = applicationName
		cfg := lifecycle.Config{Pool: pc}
		change(&cfg)
		m, err := lifecycle.New(cfg)
		require.NoError(t, err)
		require.ErrorIs(t, m.Start(bounded(t)), boom, name)
		db.WaitForBackends(t, 0)
		require.Zero(t, m.Pool().Stat().TotalConns(), name)
		require.ErrorIs(t, m.Start(bounded(t)), lifecycle.ErrDraining, name)
	}
}
