package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// TestDrainEndsWhatNobodyHolds has a frozen server keep things open that no holder
// answers for.
//
// Not parallel: goroutines are counted.
func TestDrainEndsWhatNobodyHolds(t *testing.T) {
	for _, c := range []struct {
		name    string
		begin   func(t *testing.T, m *lifecycle.Monitor)
		timeout time.Duration
		held    bool // so that the drain waits for its timeout
	}{
		{name: "a statement that its caller gave up", timeout: time.Hour, begin: func(t *testing.T, m *lifecycle.Monitor) {
			conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "impatient"})
			require.NoError(t, err)
			defer conn.Release()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err = conn.Exec(ctx, "select 1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}},
		{name: "a connection that is being opened", timeout: deadline, held: true, begin: func(t *testing.T, m *lifecycle.Monitor) {
			for range m.Pool().Stat().TotalConns() {
				conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
				require.NoError(t, err)
				t.Cleanup(conn.Release)
			}
			failed := make(chan error, 2)
			go func() { _, err := m.Acquire(context.Background(), lifecycle.Request{Client: "late"}); failed <- err }()
			go func() { _, err := m.Pool().Acquire(context.Background()); failed <- err }()
			require.Eventually(t, func() bool { return m.Pool().Stat().ConstructingConns() == 2 }, time.Minute, time.Millisecond)
			t.Cleanup(func() {
				require.ErrorIs(t, <-failed, lifecycle.ErrDraining)
				require.ErrorIs(t, <-failed, lifecycle.ErrDraining)
			})
		}},
	} {
		ignore := goleak.IgnoreCurrent()
		t.Run(c.name, func(t *testing.T) {
			s := pgfault.Start(t)
			m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.MaxConns = 9 })
			require.NoError(t, m.Start(t.Context()))
			s.Freeze(t)
			c.begin(t, m)
			began := time.Now()
			_, err := lifecycle.Drain(t.Context(), m, c.timeout)
			elapsed := time.Since(began)
			require.Equal(t, c.held, err != nil, "%v", err)
			if c.held {
				elapsed -= deadline
			}
			require.Less(t, elapsed, overhead)
			t.Logf("drain took %s beyond what it had to wait for", elapsed.Round(time.Millisecond))
			s.Thaw(t)
			s.WaitForNoBackends(t, applicationName)
		})
		goleak.VerifyNone(t, ignore)
	}
}

func TestDrainWaitsForAConnectionOnItsWayOut(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	passed, goOn := make(chan struct{}), make(chan struct{})
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.Pool.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if ctx.Value(wayOut{}) != nil {
				close(passed)
				<-goOn
			}
			return true, nil
		}
	})
	require.NoError(t, m.Start(t.Context()))
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
	<-passed
	drained := make(chan error, 1)
	go func() {
		_, err := lifecycle.Drain(context.Background(), m, time.Minute)
		drained <- err
	}()
	require.Eventually(t, m.Draining, time.Minute, time.Millisecond)
	s.WaitFor(t, "select count(*) = 1 from pg_stat_activity where application_name = $1", applicationName)
	close(goOn)
	require.NoError(t, <-worked, "it was past the gate")
	require.NoError(t, <-drained)
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
	s := pgfault.Start(t)
	tracer := slowTracer{make(chan struct{}), make(chan struct{})}
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.ConnConfig.Tracer = tracer })
	require.NoError(t, m.Start(t.Context()))
	refused := make(chan error, 1)
	go func() {
		_, err := m.Acquire(context.WithValue(context.Background(), wayOut{}, true), lifecycle.Request{Client: "late"})
		refused <- err
	}()
	<-tracer.passed
	_, err := lifecycle.Drain(t.Context(), m, time.Minute)
	require.NoError(t, err)
	close(tracer.goOn)
	require.ErrorIs(t, <-refused, lifecycle.ErrDraining)
}

func TestAHolderMayGoOnAfterAStop(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "stubborn"})
	require.NoError(t, err)
	_, err = lifecycle.Drain(t.Context(), m, 0)
	require.Error(t, err)
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
		_, err := conn.Exec(t.Context(), "select 1")
		require.Error(t, err)
	}
	conn.Release()
}
