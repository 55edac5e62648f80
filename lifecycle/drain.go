package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The time of a drain beyond its deadline, 100 ms in all: the server gets a moment to
// answer cancel requests, then the drain closes the sockets, then the pool gets a moment to
// notice.
const (
	cancelGrace = 50 * time.Millisecond
	closeGrace  = 25 * time.Millisecond
)

// cancelMost bounds the wait for cancel requests of statements whose callers have left. pgx
// sends such a request in the background, before pgx closes the connection. The wait is a
// part of the drain's timeout.
const cancelMost = time.Second

// Report says how a drain went.
type Report struct {
	Elapsed time.Duration
	Waited  time.Duration // for work in flight, a part of Elapsed
	Cutting time.Duration // for the holders that were cut off, a part of Elapsed
	InUse   int           // connections in use at the drain's begin, less waiting listeners
	Cut     []Holder      // holders that the drain cut off at the deadline
}

// String returns the report in one line.
func (r Report) String() string {
	if len(r.Cut) == 0 {
		return fmt.Sprintf("drained in %s, %d in use all came back", r.Elapsed.Round(time.Millisecond), r.InUse)
	}
	names := make([]string, len(r.Cut))
	for i, h := range r.Cut {
		names[i] = h.String()
	}
	return fmt.Sprintf("drained in %s, %d of %d in use cut off at the deadline: %s",
		r.Elapsed.Round(time.Millisecond), len(r.Cut), r.InUse, strings.Join(names, "; "))
}

// DrainError is returned by a drain that had to cut holders off. The server rolls back the
// open transactions of these holders.
type DrainError struct{ Report Report }

// Error names every holder that was cut off.
func (e *DrainError) Error() string { return e.Report.String() }

type drainOnce struct {
	once   sync.Once
	done   chan struct{}
	report Report
}

// Drain stops the pool of m within timeout plus at most 100 ms, and within three quarters of
// the time left until ctx's deadline: the following stop hooks keep a share of the time.
//
// From the start of the drain readiness is off, and [Monitor.OnChange] reports the change.
// Every acquire, also of a waiter, fails with ErrDraining, and so does a wait for
// notifications on a connection that has sent LISTEN. Work in flight may finish until the
// deadline. Then Drain cancels running statements on the server, and closes every socket of
// the pool: the server rolls back open transactions.
//
// Drain returns a *DrainError that names every holder that Drain cut off. A holder that was
// cut off may go on using its connection: every statement fails. The holder may release the
// connection at any time. Until the release, a goroutine waits in pgxpool's Close.
//
// A second or concurrent Drain waits for the first Drain, and returns the report of the
// first without an error. A timeout of 0 cuts at once.
func Drain(ctx context.Context, m *Monitor, timeout time.Duration) (Report, error) {
	first := false
	m.drain.once.Do(func() {
		first = true
		defer close(m.drain.done)
		m.drain.report = m.runDrain(ctx, timeout)
	})
	if !first {
		<-m.drain.done
		return m.drain.report, nil
	}
	if len(m.drain.report.Cut) > 0 {
		return m.drain.report, &DrainError{m.drain.report}
	}
	return m.drain.report, nil
}

func (m *Monitor) runDrain(ctx context.Context, timeout time.Duration) Report {
	began := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)*3/4)
	}
	log, notified := m.beginDrain()
	defer m.keepClock()()
	held := m.heldCount()
	r := Report{InUse: max(held-m.endListeners(), 0)}
	log.Info("pool draining", zap.Int("in_use", r.InUse), zap.Int("waiting", m.Waiting()), zap.Duration("timeout", timeout))

	ctx, cancel := context.WithTimeout(ctx, max(timeout, 0))
	defer cancel()
	closed := m.closePool()
	waiting := time.Now()
	released := m.waitReleased(ctx, closed)
	if released {
		m.waitCanceled(ctx)
	}
	r.Waited = time.Since(waiting)
	if !released {
		cutting := time.Now()
		r.Cut = m.cut()
		r.Cutting = time.Since(cutting)
		r.InUse = max(r.InUse, len(r.Cut)) // some may have been on their way out
	}
	grace, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	for _, done := range []<-chan struct{}{closed, notified} {
		select {
		case <-done:
		case <-grace.Done():
		}
	}
	m.sockets.cutAll()
	m.state.Store(stateStopped)
	forgetDatabase(m)
	r.Elapsed = time.Since(began)
	r.log(log)
	return r
}

// beginDrain refuses further acquires, and wakes the waiters. log takes the lines of the drain;
// notified closes when the watchers know of the drain.
func (m *Monitor) beginDrain() (log *zap.Logger, notified <-chan struct{}) {
	log = m.log
	switch m.state.Swap(stateDraining) {
	case stateNew, stateStopped:
		log.Warn("pool drained without having been started")
		log = zap.NewNop()
	case stateStarting:
		log = zap.NewNop() // the failed start has logged its error
	}
	notified = m.notifyDrain()
	m.mu.Lock() // after close, Go begins no goroutine
	m.close()
	m.mu.Unlock()
	if m.cfg.Admission != nil {
		m.cfg.Admission.Close()
	}
	return log, notified
}

// log writes the line of a drain that has ended.
func (r Report) log(log *zap.Logger) {
	if len(r.Cut) > 0 {
		log.Warn("pool drained, holders cut off", zap.Duration("elapsed", r.Elapsed), zap.Duration("waited", r.Waited), zap.Duration("cutting", r.Cutting),
			zap.Int("in_use", r.InUse), zap.Stringers("cut", r.Cut))
	} else {
		log.Info("pool drained", zap.Duration("elapsed", r.Elapsed), zap.Duration("waited", r.Waited), zap.Int("in_use", r.InUse))
	}
}

// keepClock keeps the clock for the holds that end in the drain, until the caller calls
// stop: watch has ended.
func (m *Monitor) keepClock() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var kept sync.WaitGroup
	kept.Go(func() {
		tick := time.NewTicker(clockTick)
		defer tick.Stop()
		for {
			m.clock.Store(time.Now().UnixNano())
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); kept.Wait() }
}

// waitReleased waits until no connection is in use, or on its way to an acquire from before
// the drain. waitReleased returns false if ctx ended before.
func (m *Monitor) waitReleased(ctx context.Context, closed <-chan struct{}) bool {
	tick := time.NewTicker(clockTick)
	defer tick.Stop()
	for m.slotCount() > 0 {
		select {
		case <-m.released:
		case <-tick.C:
			m.endListeners() // listeners whose work has ended
		case <-closed:
			// All connections of the pool came back. A hijacked connection ends with its
			// socket.
			return m.sockets.waitNone(ctx)
		case <-ctx.Done():
			return m.slotCount() == 0
		}
	}
	return true
}

// waitCanceled waits a moment until all sockets are closed: without its cancel request, a
// statement of a connect hook would run on after the hook's caller has left.
func (m *Monitor) waitCanceled(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cancelMost)
	defer cancel()
	m.sockets.waitNone(ctx)
}

// cut cancels running statements on the server, waits a moment for the holders to notice,
// and closes every socket. Every holder's backend gets a cancel request: a statement that
// pgx's tracers don't see, such as a COPY TO through pgconn, would run on without its client.
// An idle backend ignores the request.
func (m *Monitor) cut() []Holder {
	held := m.heldSlots()
	left := make([]Holder, len(held))
	ctx, cancel := context.WithTimeout(context.Background(), cancelGrace)
	defer cancel()

	var wg sync.WaitGroup
	for i, s := range held {
		left[i] = s.holder()
		// pgconn's CancelRequest reads only fields that connect has set, and opens its own
		// connection: any goroutine may call CancelRequest.
		wg.Go(func() { _ = s.conn.PgConn().CancelRequest(ctx) })
	}
	wg.Wait()
	// Holders in a query notice the cancel; idle holders have nothing to notice.
	for ctx.Err() == nil && anyInQuery(held) {
		select {
		case <-m.released:
		case <-ctx.Done():
		}
	}
	m.sockets.cutAll()
	return left
}

func anyInQuery(held []*slot) bool {
	for _, s := range held {
		if s.inQuery() {
			return true
		}
	}
	return false
}

// closePool closes the pool in a goroutine: pgxpool's Close has no bound. Close closes idle
// connections at once, and held connections at their release.
func (m *Monitor) closePool() <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		// m.closing ends every wait in a moment. A closed pool would fail the waiters with
		// pgxpool's own error.
		tick := time.NewTicker(time.Millisecond)
		for m.waiting.Load() > 0 {
			<-tick.C
		}
		tick.Stop()
		m.pool.Close()
		m.background.Wait()
		close(closed)
	}()
	return closed
}
