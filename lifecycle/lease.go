package lifecycle

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/backend"
)

// Request says who asks for a connection.
type Request struct {
	Client string
	Tenant string // empty: none

	// Caller asks for the call site of the acquire, for about a microsecond. Without Caller and
	// Config.Callers, the monitor takes the call sites of the first 64 acquires of every 50 ms,
	// of every 256th acquire, and of every acquire that takes the last connection.
	Caller bool

	// Transaction says that the connection is for a transaction of the calling
	// goroutine's. See NestedMode.
	Transaction bool

	// Permits, if set, gives the permit of the acquire. Permits is a client of Config.Admission.
	Permits *admission.Client

	// Timeout is the longest wait, if shorter than the pool's timeout; 0 is the pool's timeout.
	Timeout time.Duration

	// Waiting, if set, is counted up while the request waits.
	Waiting *atomic.Int64

	// Tainted, if set, is counted up if the connection comes back tainted. See
	// Config.Sessions.
	Tainted *atomic.Uint64
}

// Acquire takes a connection. Acquire waits at most the acquire timeout, then fails with an
// [*AcquireError]. Acquire fails with ErrNotStarted before Start and with ErrDraining from a
// stop on. If the server can't be reached, or is starting or stopping, Acquire waits within
// the same time until the pool reaches the server: the caller's statement was not sent yet.
// Config.ServerWaitFraction shortens the wait.
//
// A connection that a drain has cut off fails its holder's statements. The holder may, and
// must, still release the connection.
func (m *Monitor) Acquire(ctx context.Context, r Request) (*pgxpool.Conn, error) {
	if err := m.mayAcquire(ctx); err != nil {
		return nil, err
	}
	a := acquisitions.Get().(*acquisition)
	a.Context, a.m, a.request = ctx, m, r
	if n := m.acquires.Add(1); r.Caller || m.takesCaller(n) {
		a.takeCallSite(2)
	}
	var conn *pgxpool.Conn
	ended := false
	defer func() {
		if ended {
			return
		}
		if conn != nil { // a tracer panics
			conn.Release()
		}
		a.giveUp()
		a.end()
	}()
	if m.remembered.Load() != 0 {
		if err := m.refuseNested(a); err != nil {
			a.notify(err)
			ended = true
			a.end()
			return nil, err
		}
	}
	var traced context.Context = a
	if m.tracing != nil {
		traced = m.traceAcquire(a, m.pool)
	}
	var unreachable error
	err := a.admit()
	if err == nil {
		conn, unreachable, err = m.connectOrWait(traced, a)
	}
	if err != nil {
		a.giveUp()
		if a.panicked != nil { // a hook did
			m.tracedAcquire(traced, m.pool, pgxpool.TraceAcquireEndData{Err: err})
			panic(a.panicked)
		}
		err = m.acquireError(ctx, a, unreachable, err)
	}
	if m.observers.Load() != nil {
		a.notify(err)
	}
	if m.tracing != nil {
		data := pgxpool.TraceAcquireEndData{Err: err}
		if conn != nil {
			data.Conn = conn.Conn()
		}
		m.tracedAcquire(traced, m.pool, data)
	}
	ended = true
	a.end()
	return conn, err
}

// connectOrWait acquires, and retries until ctx ends while the server can't be reached. ctx is
// a, as the tracers wrapped a. unreachable is the error of the last attempt that could not
// reach the server.
func (m *Monitor) connectOrWait(ctx context.Context, a *acquisition) (conn *pgxpool.Conn, unreachable, err error) {
	if m.countsAsking {
		a.enterPool()
	}
	var backoff retry.Backoff
	for {
		conn, err = m.pool.Acquire(ctx)
		if err == nil {
			m.hold(conn.Conn(), a)
			return conn, unreachable, nil
		}
		if ctx.Err() != nil || !isUnavailable(err) || ctx.Value(warming{}) != nil {
			return nil, unreachable, err
		}
		var away *awayError
		if unreachable = err; errors.As(err, &away) {
			unreachable = away.failure
		}
		if backoff == nil {
			backoff = retry.WithCappedDuration(connectRetryMost, retry.WithJitterPercent(50, retry.NewExponential(connectRetryWait)))
		}
		if err = m.outlast(ctx, a, backoff, err); err != nil {
			return nil, unreachable, err
		}
	}
}

// prepare decides whether the pool hands conn out. false makes pgxpool close conn and go on
// with the next connection; true with an error gives the sound connection back and fails the
// caller. hook is the caller's, or nil.
func (m *Monitor) prepare(ctx context.Context, conn *pgx.Conn, hook prepareConn) (bool, error) {
	if err := m.mayAcquire(ctx); err != nil {
		return true, err
	}
	s := slotOf(conn)
	if m.isOld(s) && m.expired(ctx, s) || m.readOnlySeen.Load() && m.stuck(conn) {
		return false, nil
	}
	if s != nil && !s.facts.Fit() {
		if keep, err := m.makeFit(ctx, conn, s); !keep || err != nil {
			return keep, err
		}
	}
	if m.cfg.RawAcquire == nil && hook == nil && !m.releaseHook {
		return true, nil
	}
	a := acquisitionOf(ctx)
	if m.cfg.RawAcquire != nil && (a == nil || a.raw) {
		if keep, err := m.cfg.RawAcquire(ctx, conn); !keep || err != nil {
			return keep, err
		}
	}
	own := isUpkeep(ctx)
	if s != nil {
		s.upkeep = own
	}
	if hook == nil || own {
		return true, nil
	}
	return a.prepare(ctx, hook, conn)
}

// errPanicked makes pgxpool close the connection whose hook panicked.
var errPanicked = errors.New("PrepareConn panicked")

// prepare calls a hook. pgxpool would lose the connection to a panic for ever: the acquire
// repeats the panic when pgxpool is done.
func (a *acquisition) prepare(ctx context.Context, hook prepareConn, conn *pgx.Conn) (ok bool, err error) {
	if a != nil {
		defer func() {
			if a.panicked = recover(); a.panicked != nil {
				ok, err = false, errPanicked
			}
		}()
	}
	return hook(ctx, conn)
}

type prepareConn = func(context.Context, *pgx.Conn) (bool, error)

func (m *Monitor) hold(conn *pgx.Conn, a *acquisition) {
	s := slotOf(conn)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.held = true
	s.uses++
	s.client, s.tenant, s.tainted = a.request.Client, a.request.Tenant, a.request.Tainted
	if a.permit {
		s.permits, a.permit = a.request.Permits, false
	}
	s.pcs[0], s.goSite = 0, a.goStatement
	if a.pcs[0] != 0 {
		s.pcs = a.pcs
	}
	s.since, s.query, s.running, s.reported = m.clock.Load(), "", false, false
	s.listens, s.listened = false, 0
	s.traced = nil
	if m.cfg.LogFields != nil {
		s.traced = m.cfg.LogFields(a.Context)
	}
	s.exactly = time.Time{}
	if m.observers.Load() != nil {
		s.exactly = time.Now()
	}
	if a.request.Transaction && m.remembersTransaction() {
		s.goroutine, s.done = goroutineID(), a.Context.Done()
	}
	remembered := s.goroutine != 0
	s.mu.Unlock()
	if remembered {
		m.remember(s)
	}
	if m.shed != nil {
		m.shed.serve(a.request.Client, a.shedEntry)
	}
	if a.inPool {
		a.leavePool()
	}
	m.held.Add(1)
}

// countTaint counts a connection that came back tainted. ofClient may be nil.
func (m *Monitor) countTaint(ofClient *atomic.Uint64) {
	m.tainted.Add(1)
	if ofClient != nil {
		ofClient.Add(1)
	}
}

func (m *Monitor) release(conn *pgx.Conn) {
	s := slotOf(conn)
	if s == nil {
		return
	}
	if s.hasEnded() {
		m.lose(conn)
	}
	s.compareReported(conn)
	s.mu.Lock()
	was, reported := s.held, s.reported
	client, exactly, tainted := s.client, s.exactly, s.tainted
	held := time.Duration(m.clock.Load() - s.since) // by a tick too long or too short, but right in the sum
	permits, tenant := s.permits, s.tenant
	s.permits = nil
	remembered := was && s.goroutine != 0
	if remembered {
		s.goroutine, s.done, s.reads = 0, nil, false
	}
	s.held = false
	s.mu.Unlock()
	if !was { // of AcquireAllIdle
		m.checkSession(conn, s)
		return
	}
	if remembered {
		m.forget(s)
	}
	if s.facts.Cleanup() != backend.NoCleanup {
		m.countTaint(tainted)
	}
	if m.cfg.Sessions.Check != nil {
		m.checkSession(conn, s)
	}
	if !exactly.IsZero() {
		held = time.Since(exactly)
		m.observe(func(o Observer) { o.Released(client, held) })
	}
	if reported {
		m.log.Info("connection that was held too long came back", m.reportFields(s)...)
	}
	m.held.Add(-1)
	if permits == nil {
		return
	}
	if !conn.IsClosed() && !conn.PgConn().IsBusy() && conn.PgConn().TxStatus() == 'I' {
		permits.Release(tenant, held)
		return
	}
	// The pool destroys the connection, and the connection keeps its place until the end of
	// the cleanup. A permit before that end would let its holder wait for a place out of turn.
	// pgx bounds the cleanup by 15 s; a drain ends the cleanup with the socket.
	go func() {
		<-conn.PgConn().CleanupDone()
		permits.Release(tenant, held)
	}()
}
