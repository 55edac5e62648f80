package lifecycle_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestDrainWaitsForAConnectionOnItsWayOut(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
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
	size.SkipShort(t)
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
	size.SkipShort(t)
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
