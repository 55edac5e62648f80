package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/lifecycle"
)

// TestDrainEndsWhatNobodyHolds has a frozen server keep things open that no holder
// answers for.
//
// Not parallel: goroutines are counted.
func TestDrainEndsWhatNobodyHolds(t *testing.T) {
	s := ownServer(t)
	for _, c := range []struct {
		name    string
		begin   func(t *testing.T, m *lifecycle.Monitor)
		timeout time.Duration
		held    bool // so that the drain waits for its timeout
	}{
		{name: "a statement that its caller gave up", timeout: time.Hour, begin: func(t *testing.T, m *lifecycle.Monitor) {
			conn := acquire(t, m, "impatient")
			defer conn.Release()
			ctx, cancel := context.WithTimeout(bounded(t), 50*time.Millisecond)
			defer cancel()
			_, err := conn.Exec(ctx, "select 1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}},
		{name: "a connection that is being opened", timeout: deadline, held: true, begin: func(t *testing.T, m *lifecycle.Monitor) {
			for range m.Pool().Stat().TotalConns() {
				t.Cleanup(acquire(t, m, "holder").Release)
			}
			failed := make(chan error, 2)
			go func() { _, err := m.Acquire(context.Background(), lifecycle.Request{Client: "late"}); failed <- err }()
			go func() { _, err := m.Pool().Acquire(context.Background()); failed <- err }()
			eventually(t, func() bool { return m.Pool().Stat().ConstructingConns() == 2 })
			t.Cleanup(func() {
				require.ErrorIs(t, receive(t, failed), lifecycle.ErrDraining)
				require.ErrorIs(t, receive(t, failed), lifecycle.ErrDraining)
			})
		}},
	} {
		ignore := goleak.IgnoreCurrent()
		t.Run(c.name, func(t *testing.T) {
			db := s.database(t)
			m := newMonitor(t, db.URL(), func(c *lifecycle.Config) { c.Pool.MaxConns = 9 })
			require.NoError(t, m.Start(bounded(t)))
			s.Freeze(t)
			c.begin(t, m)
			drained := make(chan error, 1)
			began := time.Now()
			go func() { _, err := lifecycle.Drain(context.Background(), m, c.timeout); drained <- err }()
			err := receive(t, drained)
			t.Logf("drain took %s, of which it had to wait for %s if that is true: %t", time.Since(began).Round(time.Millisecond), deadline, c.held)
			require.Equal(t, c.held, err != nil, "%v", err)
			s.Thaw(t)
			db.WaitForBackends(t, 0)
		})
		goleak.VerifyNone(t, ignore)
	}
}

func TestDrainWaitsForAConnectionOnItsWayOut(t *testing.T) {
	t.Parallel()
	passed, goOn := make(chan struct{}), make(chan struct{})
	m, db := startPool(t, func(c *lifecycle.Config) {
		c.Pool.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if ctx.Value(wayOut{}) != nil {
				close(passed)
				<-goOn
			}
			return true, nil
		}
	})
	worked := make(chan error, 1)
	go func() {
		ctx := context.WithValue(context.Background(), wayOut{}, true)
		conn, err := m.Acquire(ctx, lifecycle.Request{Client: "last"})
		if err == nil {
			_, err = conn.Exec(ctx, "select pg_sleep(0.1)")
			conn.Release()
		}
		worked <- err
	}()
	receive(t, passed)
	drained := beginDrain(t, m)
	db.WaitForBackends(t, 1)
	close(goOn)
	require.NoError(t, receive(t, worked), "it was past the gate")
	require.NoError(t, receive(t, drained))
}

type wayOut struct{}

// slowTracer holds every acquire up between the gate and the pool.
type slowTracer struct {
	passed chan struct{}
	goOn   chan struct{}
}

func (s slowTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if ctx.Value(wayOut{}) != nil {
		close(s.passed)
		<-s.goOn
	}
	return ctx
}

func (slowTracer) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (slowTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (slowTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAnAcquireThatADrainOvertakesIsRefused(t *testing.T) {
	t.Parallel()
	tracer := slowTracer{make(chan struct{}), make(chan struct{})}
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.ConnConfig.Tracer = tracer })
	refused := make(chan error, 1)
	go func() {
		_, err := m.Acquire(context.WithValue(context.Background(), wayOut{}, true), lifecycle.Request{Client: "late"})
		refused <- err
	}()
	receive(t, tracer.passed)
	require.NoError(t, receive(t, beginDrain(t, m)))
	close(tracer.goOn)
	require.ErrorIs(t, receive(t, refused), lifecycle.ErrDraining)
}

func TestAHolderMayGoOnAfterAStop(t *testing.T) {
	t.Parallel()
	m, _ := startPool(t, nil)
	conn := acquire(t, m, "stubborn")
	_, err := lifecycle.Drain(bounded(t), m, 0)
	require.Error(t, err)
	ctx := bounded(t)
	for range 1000 {
		_, err := conn.Exec(ctx, "select 1")
		require.Error(t, err)
	}
	conn.Release()
}
