package lifecycle

import (
	"context"
	"time"

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

// ClientOf returns the name of the client that holds the connection, for tracers. ClientOf
// returns "" for a connection without a holder, for example during a connect or a ping, and
// for a connection of no Monitor's pool.
func ClientOf(conn *pgx.Conn) string {
	if conn == nil {
		return ""
	}
	s := slotOf(conn)
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return ""
	}
	return s.client
}

// MonitorOf returns the Monitor of a tracer's call: the Monitor of conn's pool, or, without
// a pool, of the acquire or the connect whose context is ctx. MonitorOf returns
// nil for a connection of no Monitor's pool. conn may be nil.
func MonitorOf(ctx context.Context, conn *pgx.Conn) *Monitor {
	if conn != nil {
		if s := slotOf(conn); s != nil {
			return s.m
		}
	}
	if a := acquisitionOf(ctx); a != nil {
		return a.m
	}
	if c, ok := ctx.Value(connectingKey{}).(*connecting); ok {
		return c.m
	}
	return nil
}

// AcquiresRaw reports whether ctx is the context of an acquire from the pool itself, for
// PrepareConn hooks.
func AcquiresRaw(ctx context.Context) bool {
	a := acquisitionOf(ctx)
	return a == nil || a.raw
}

// Acquiring returns the client of the acquire whose context is ctx, for tracers. since is
// when the acquire's wait for a permit or a connection began: the zero time without a wait.
// client is empty if ctx belongs to no acquire.
func Acquiring(ctx context.Context) (client string, since time.Time) {
	a := acquisitionOf(ctx)
	if a == nil {
		return "", time.Time{}
	}
	return a.request.Client, a.since()
}
