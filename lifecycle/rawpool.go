package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// rawPool is the client name of acquires that did not come through Monitor.Acquire.
const rawPool = "raw pool"

// TraceAcquireStart bounds acquires straight from the pool as Monitor.Acquire bounds its own
// acquires.
func (t tracer) TraceAcquireStart(ctx context.Context, pool *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	switch {
	case pool != t.m.pool: // a pool that was built from this pool's Config
		return t.m.traceAcquire(ctx, pool)
	case acquisitionOf(ctx) != nil: // Monitor.Acquire traces itself
		return ctx
	}
	a := &acquisition{Context: ctx, m: t.m, request: Request{Client: rawPool, Permits: t.m.rawPermits}, raw: true}
	t.m.acquires.Add(1)
	a.takeCallSite(3)
	traced := t.m.traceAcquire(a, pool)
	a.refused = t.m.refuseRaw(a)
	return traced
}

// refuseRaw makes the checks of Monitor.Acquire for an acquire from the pool itself.
func (m *Monitor) refuseRaw(a *acquisition) error {
	if err := m.mayAcquire(a.Context); err != nil {
		return err
	}
	if err := m.refuseNested(a); err != nil || a.Context.Value(warming{}) != nil {
		return err
	}
	if err := a.admit(); err != nil {
		return err
	}
	if m.countsAsking {
		a.enterPool()
	}
	return nil
}

func (t tracer) TraceAcquireEnd(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	a := acquisitionOf(ctx)
	switch {
	case pool != t.m.pool || a == nil:
		t.m.tracedAcquire(ctx, pool, data)
		return
	case !a.raw: // Monitor.Acquire goes on
		return
	case data.Conn != nil:
		t.m.hold(data.Conn, a)
	}
	panicked := a.panicked
	a.giveUp()
	a.notify(data.Err)
	a.end()
	t.m.tracedAcquire(ctx, pool, data)
	if panicked != nil {
		panic(panicked)
	}
}
