package lifecycle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/internal/admission"
)

// acquisition is the context of a single acquire. acquisition carries the request to the
// pool's tracer, and bounds the wait by the acquire timeout and by a drain. Admission bounds
// the wait for a permit. A wait for a connection makes the bound when the wait begins: the
// usual acquire finds an idle connection, and costs no timer and no allocation.
type acquisition struct {
	context.Context // the caller's
	m               *Monitor
	request         Request
	raw             bool // straight from the pool
	pcs             [8]uintptr
	goStatement     string // names the caller instead of pcs
	nested          bool   // the goroutine's transaction holds a connection already
	refused         error  // the reason for a failure before the acquire from the pool
	permit          bool   // of request.Permits, and not yet a slot's
	panicked        any    // the value of the PrepareConn hook's panic

	inPool     bool          // counted in Monitor.asking
	poolFull   bool          // the pool was full at the acquire's beginning
	queued     bool          // is in the queue
	shedEntry  *queuedCaller // is, or was, in the shedder's queue
	waiting    bool          // counted among the waiters
	permitWait time.Duration // how long the wait for a permit took
	limitHint  string        // the limit that caused the wait, if not the pool's size

	doneCalled atomic.Bool
	mu         sync.Mutex // makes bound once
	bound      atomic.Pointer[bound]
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

type bound struct {
	ctx    context.Context
	cancel func()
	began  time.Time
}

// acquisitions holds acquisitions for reuse: without a wait, nobody can still hold a
// reference.
var acquisitions = sync.Pool{New: func() any { return new(acquisition) }}

// A call site costs as much as an acquire. The monitor takes, unasked, the call sites of the
// first callersPerTick acquires of each tick of the clock: a thousandth of a processor's
// time. Of the further acquires the monitor takes every callerSample-th call site.
const (
	callersPerTick = 64
	callerSample   = 256
)

// takesCaller reports whether the monitor takes the call site of the nth acquire unasked.
func (m *Monitor) takesCaller(n int64) bool {
	return m.cfg.Callers || n%callerSample == 1 || m.held.Load() >= int64(m.cfg.Pool.MaxConns)-1 ||
		m.callers.Load() > 0 && m.callers.Add(-1) >= 0
}

type acquisitionKey struct{}

// acquisitionOf finds the acquisition in a context that a further tracer may have wrapped.
func acquisitionOf(ctx context.Context) *acquisition {
	if a, ok := ctx.(*acquisition); ok {
		return a
	}
	a, _ := ctx.Value(acquisitionKey{}).(*acquisition)
	return a
}

func (a *acquisition) wait() *bound {
	if b := a.bound.Load(); b != nil {
		return b
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.bound.Load(); b != nil {
		return b
	}
	began := time.Now()
	ctx, cancelCause := context.WithCancelCause(a.Context)
	stop := context.AfterFunc(a.m.closing, func() { cancelCause(ErrDraining) })
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout()-a.permitWait, ErrAcquireTimeout)
	if a.poolFull {
		a.shedEntry = a.m.shed.join(a.request.Client, cancelCause)
	}
	b := &bound{ctx: ctx, began: began, cancel: func() {
		a.m.shed.leave(a.request.Client, a.shedEntry)
		stop()
		cancel()
		cancelCause(nil)
	}}
	full := a.poolFull && !a.enterQueue()
	a.startWaiting()
	if full {
		cancelCause(ErrQueueFull)
	}
	a.bound.Store(b)
	return b
}

// timeout returns the longest wait.
func (a *acquisition) timeout() time.Duration {
	if a.warms() {
		if deadline, ok := a.Context.Deadline(); ok {
			return time.Until(deadline) + time.Second // so that the context ends first
		}
		return max(a.m.cfg.AcquireTimeout, DefaultAcquireTimeout)
	}
	if a.request.Timeout != 0 {
		return min(a.m.cfg.AcquireTimeout, a.request.Timeout)
	}
	return a.m.cfg.AcquireTimeout
}

// warms reports whether Start itself asks. Start's time is not the time that a user waits.
func (a *acquisition) warms() bool { return a.Context.Value(warming{}) != nil }

// startWaiting counts a among the waiters, once.
func (a *acquisition) startWaiting() {
	if a.waiting {
		return
	}
	a.waiting = true
	a.m.waiting.Add(1)
	if a.request.Waiting != nil {
		a.request.Waiting.Add(1)
	}
	if a.m.cfg.Nested == NestedWarn && a.m.remembered.Load() > 0 {
		a.m.warnNested(a, nil)
	}
}

// admit waits for a permit if the request has Permits. A returned error is also a.refused.
func (a *acquisition) admit() error {
	permits := a.request.Permits
	if permits == nil {
		return nil
	}
	if !permits.TryAcquire(a.request.Tenant) {
		a.limitHint = a.limitNow()
		full := !a.enterQueue() // before startWaiting: a visible waiter has its place
		a.startWaiting()
		if a.refused = a.refuseHopeless(); a.refused == nil && full {
			a.refused = ErrQueueFull
		}
		if a.refused != nil {
			return a.refused
		}
		err := a.waitForPermit(permits)
		if a.queued {
			a.leaveQueue()
		}
		switch {
		case errors.Is(err, admission.ErrClosed):
			a.refused = ErrDraining
		case errors.Is(err, admission.ErrTimeout):
			a.refused = ErrAcquireTimeout
		default:
			a.refused = err
		}
		if err != nil {
			a.limitHint = a.limitNow()
			return a.refused
		}
	}
	a.permit = true
	return nil
}

// waitForPermit waits until admission grants a permit, the wait's time ends or the shedder
// ends the wait.
func (a *acquisition) waitForPermit(permits *admission.Client) (err error) {
	ctx := a.Context
	if a.m.shed != nil {
		shedding, shed := context.WithCancelCause(ctx)
		defer shed(nil)
		a.shedEntry, ctx = a.m.shed.join(a.request.Client, shed), shedding
		defer a.m.shed.leave(a.request.Client, a.shedEntry)
	}
	a.permitWait, err = permits.AcquireWithin(ctx, a.request.Tenant, a.timeout())
	if err != nil && errors.Is(context.Cause(ctx), ErrQueueShed) {
		return ErrQueueShed
	}
	return err
}

// giveUp gives the permit back if the acquire got no connection.
func (a *acquisition) giveUp() {
	if a.permit {
		a.permit = false
		a.request.Permits.Release(a.request.Tenant, 0)
	}
}

// notify notifies the observers of the result.
func (a *acquisition) notify(err error) {
	if a.m.observers.Load() != nil {
		client, waited := a.request.Client, a.waited()
		a.m.observe(func(o Observer) { o.Acquired(client, waited, err) })
	}
}

// end runs once, when the acquire has its result.
func (a *acquisition) end() {
	if a.inPool {
		a.leavePool()
	}
	if a.queued {
		a.leaveQueue()
	}
	if a.nested {
		a.m.nestedAsk.Add(-1)
	}
	if a.waiting {
		full := a.waited()
		if a.limitHint != "" {
			full -= a.permitWait // further connections would not have shortened the wait for the permit
		}
		if !a.warms() {
			a.m.pressure.waited(full, a.m.cfg.AcquireTimeout)
		}
		a.m.waiting.Add(-1)
		if a.request.Waiting != nil {
			a.request.Waiting.Add(-1)
		}
	}
	if b := a.bound.Load(); b != nil {
		b.cancel()
		return // pgxpool may still use a in the background
	}
	if a.m.foreign {
		return // the caller's hook saw a and may have kept a
	}
	a.Context, a.m, a.request, a.raw, a.nested, a.refused, a.permit, a.poolFull = nil, nil, Request{}, false, false, nil, false, false
	a.waiting, a.shedEntry, a.permitWait, a.limitHint = false, nil, 0, ""
	a.doneCalled.Store(false)
	a.pcs[0], a.goStatement = 0, ""
	acquisitions.Put(a)
}

func (a *acquisition) waited() time.Duration {
	if b := a.bound.Load(); b != nil {
		return a.permitWait + time.Since(b.began)
	}
	return a.permitWait
}

// Done returns a channel that closes when the wait is over. puddle calls Done once to check
// that the context has not ended, and again for each wait: for a place in the pool, for a
// connect, for a ping. After the second call Err reports the end of the bound, and the bound
// ends a moment after the caller's context.
//
// The rule of context.Context that successive calls return the same channel does not hold: the
// first call returns the channel of the caller's context. An acquire that finds an idle connection
// calls Done once, and so costs no timer and no allocation. The channel of a later call closes
// whenever the first channel closes. A caller of Done that keeps the first channel
// misses only the ends of the bound.
func (a *acquisition) Done() <-chan struct{} {
	if a.refused != nil {
		return closedChannel
	}
	if !a.doneCalled.Swap(true) {
		return a.Context.Done()
	}
	return a.wait().ctx.Done()
}

// Err returns the reason of the end, and not only that the context ended: pgxpool returns
// the error unchanged to the caller of an acquire.
func (a *acquisition) Err() error {
	if a.refused != nil {
		return a.refused
	}
	b := a.bound.Load()
	if b == nil {
		return a.Context.Err()
	}
	switch cause := context.Cause(b.ctx); {
	case errors.Is(cause, ErrDraining), errors.Is(cause, ErrAcquireTimeout), errors.Is(cause, ErrQueueFull), errors.Is(cause, ErrQueueShed):
		return cause
	}
	return b.ctx.Err()
}

// Deadline returns the deadline of the wait if a wait has begun, else of the caller's context.
func (a *acquisition) Deadline() (time.Time, bool) {
	if b := a.bound.Load(); b != nil {
		return b.ctx.Deadline()
	}
	return a.Context.Deadline()
}

// Value also finds the acquisition.
func (a *acquisition) Value(key any) any {
	if key == (acquisitionKey{}) {
		return a
	}
	if b := a.bound.Load(); b != nil {
		return b.ctx.Value(key)
	}
	return a.Context.Value(key)
}
