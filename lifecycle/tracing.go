package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
)

// withTracer returns the monitor's tracer, followed by the given tracer. traceAcquire calls
// the given AcquireTracer once for each acquire: the monitor asks the pool repeatedly while
// the server is away.
func (m *Monitor) withTracer(given pgx.QueryTracer) pgx.QueryTracer {
	if given == nil {
		return tracer{m}
	}
	both := multitracer.New(tracer{m}, given)
	both.PoolAcquireTracers = []pgxpool.AcquireTracer{tracer{m}}
	return both
}

// traceAcquire starts the trace of an acquire.
func (m *Monitor) traceAcquire(ctx context.Context, pool *pgxpool.Pool) context.Context {
	if m.tracing == nil {
		return ctx
	}
	return m.tracing.TraceAcquireStart(ctx, pool, pgxpool.TraceAcquireStartData{})
}

// tracedAcquire ends the trace of an acquire.
func (m *Monitor) tracedAcquire(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if m.tracing != nil {
		m.tracing.TraceAcquireEnd(ctx, pool, data)
	}
}

// MonitorOf returns the Monitor and the client of a tracer's call. With conn, the two are the
// Monitor of conn's pool and the client that holds conn; client is empty if no client holds
// conn, for example during a connect or a ping. Without conn, the two are those of the acquire
// or the connect whose context is ctx. m is nil outside of every Monitor's pool.
func MonitorOf(ctx context.Context, conn *pgx.Conn) (m *Monitor, client string) {
	if conn != nil {
		if s := slotOf(conn); s != nil {
			return s.m, s.holdingClient()
		}
		m, _ = MonitorOf(ctx, nil) // a hook of a new connection has the context of the connect
		return m, ""
	}
	if a := acquisitionOf(ctx); a != nil {
		return a.m, a.request.Client
	}
	if c, ok := ctx.Value(connectingKey{}).(*connecting); ok {
		return c.m, c.client
	}
	return nil, ""
}

// holdingClient returns the client that holds the connection, or "".
func (s *slot) holdingClient() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return ""
	}
	return s.client
}
