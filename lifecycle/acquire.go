package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/internal/admission"
)

// ErrAcquireTimeout is the Err of an [AcquireError] if no connection came free within the
// acquire timeout.
var ErrAcquireTimeout = errors.New("acquire timeout")

// ErrQueueFull is the Err of an [AcquireError] if too many callers wait already.
var ErrQueueFull = errors.New("acquire queue is full")

// ErrServerAway is the Err of an [AcquireError] if the server can't be reached, and
// Config.ServerWaitFraction lets the caller wait no longer. AcquireError.Connect is the error
// of the last attempt to connect.
var ErrServerAway = errors.New("server is away, and DB_SERVER_WAIT_FRACTION lets the caller wait no longer")

// AcquireError says why an acquire got no connection, and who holds the connections.
//
// errors.Is matches ErrAcquireTimeout if the acquire timeout ended the wait, ErrServerAway if
// Config.ServerWaitFraction ended the wait, and the context's error if the caller's own
// deadline ended the wait.
type AcquireError struct {
	// Client is the name of the client that asked.
	Client string
	// Waited is the time from the call to the failure.
	Waited time.Duration
	// Max, Total, Idle, Active and Waiting are the figures of the pool at the failure:
	// connections at most, open, idle and in use, and waiters.
	Max, Total, Idle, Active, Waiting int
	// Holders are the holders of the connections, longest first, at most three.
	Holders []Holder
	// Err is the reason: ErrAcquireTimeout, ErrQueueFull, ErrQueueShed, ErrServerAway or the context's
	// error.
	Err error
	// Connect is the error of the last attempt to reach the server, or nil.
	Connect error
	// Nested reports that the caller's own transaction holds a connection of the pool.
	Nested bool
	// AmongNested reports that a further waiter's own transaction holds a connection.
	AmongNested bool
	// Hint names the limit that kept the caller waiting, and the remedy. Hint is empty if
	// the pool itself was full.
	Hint string
}

// Error returns one line with figures, holders and what to do. The line does not name the
// holders' tenants: see Holders.
func (e *AcquireError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: client %q waited %s for a connection: %d of %d in use, %d waiting",
		e.Err, e.Client, e.Waited.Round(time.Millisecond), e.Active, e.Max, e.Waiting)
	for i, h := range e.Holders {
		sep := "; "
		if i == 0 {
			sep = "; longest held: "
		}
		h.Tenant = "" // the error may reach another tenant
		b.WriteString(sep + h.String())
	}
	switch {
	case e.Connect != nil:
		fmt.Fprintf(&b, "; the server can't be reached: %v", e.Connect)
	case e.Nested:
		fmt.Fprintf(&b, "; %v", ErrNestedAcquire)
	case e.Hint != "":
		b.WriteString("; " + e.Hint)
	case e.AmongNested:
		b.WriteString("; beside it somebody waited whose own transaction holds one of them, which a larger pool does not mend: " +
			"DB_NESTED_ACQUIRE=strict names each such place")
	case e.opening() > e.Active:
		fmt.Fprintf(&b, "; %d are still being opened: look whether the server and the network to it answer", e.opening())
	default:
		b.WriteString("; raise DB_POOL_MAX, shorten the work or look for a connection that is not released")
	}
	return b.String()
}

// opening is how many connections were being opened.
func (e *AcquireError) opening() int { return e.Total - e.Idle - e.Active }

// Unwrap returns Err (see there), Connect if not nil, and ErrNestedAcquire if Nested is true.
func (e *AcquireError) Unwrap() []error {
	all := []error{e.Err}
	if e.Connect != nil {
		all = append(all, e.Connect)
	}
	if e.Nested {
		all = append(all, ErrNestedAcquire)
	}
	return all
}

// Request says who asks for a connection.
type Request struct {
	Client string
	Tenant string // empty: none

	// Caller asks for the call site of the acquire, for about a microsecond. Without Caller and
	// Config.Callers, the monitor takes the call sites of the first 64 acquires of every 50 ms,
	// of every 256th acquire, and of every acquire that takes the last connection.
	Caller bool

	// CallerSkip is how many frames, from the caller of Acquire on, can't be the call site:
	// the frames of a library that acquires for its caller. The monitor keeps eight frames
	// after CallerSkip: a deep library would fill the eight.
	CallerSkip int

	// Transaction says that the connection is for a transaction of the calling
	// goroutine's. See NestedMode.
	Transaction bool

	// Share, if set, gives the permit of the acquire. Share is a client of Config.Admission.
	Share *admission.Client

	// Timeout is the longest wait, if shorter than the pool's timeout; 0 is the pool's timeout.
	Timeout time.Duration

	// Waiting, if set, is counted up while the request waits.
	Waiting *atomic.Int64

	// Tainted, if set, is counted up if the connection comes back tainted. See
	// Config.TaintsSession.
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
		a.takeCallSite(2 + r.CallerSkip)
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
	if err := m.refuseNested(a); err != nil {
		a.tell(err)
		ended = true
		a.end()
		return nil, err
	}
	traced := m.traceAcquire(a, m.pool)
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
	a.tell(err)
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
	a.enterPool()
	var backoff retry.Backoff
	for {
		conn, err = m.pool.Acquire(ctx)
		if err == nil || ctx.Err() != nil || !isUnavailable(err) || ctx.Value(warming{}) != nil {
			return conn, unreachable, err
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

// acquireError adds the holders of the connections to the error of a wait that has ended.
func (m *Monitor) acquireError(ctx context.Context, a *acquisition, unreachable, err error) error {
	switch {
	case errors.Is(err, ErrDraining):
		return m.over()
	case errors.Is(err, ErrNotStarted):
		return ErrNotStarted
	case errors.Is(err, ErrNestedAcquire):
		return err
	case a.Err() == nil && m.Draining():
		return m.over() // a passed the gate, and found pgxpool closed
	case a.Err() == nil && !errors.Is(err, ErrServerAway):
		return fmt.Errorf("acquire a connection: %w", err)
	}
	reason := a.Err()
	switch {
	case ctx.Err() != nil:
		reason = ctx.Err()
	case reason == nil:
		reason = ErrServerAway
	}
	if failed := m.probeError(); unreachable == nil && failed != nil {
		unreachable = errors.New(failed.Error()) // the probe's deadline is not the caller's
	}
	st := m.pool.Stat()
	e := &AcquireError{
		Client: a.request.Client, Waited: a.waited(), Err: reason, Connect: unreachable,
		Max: int(st.MaxConns()), Total: int(st.TotalConns()), Idle: int(st.IdleConns()),
		Active: int(st.AcquiredConns()), Waiting: m.Waiting(), Holders: m.Holders(), Nested: a.nested,
	}
	if a.refused != nil {
		e.Hint = a.kept
	}
	if a.nested {
		m.nestedFailed.Store(time.Now().UnixNano())
	} else {
		e.AmongNested = m.amongNested(a)
	}
	if len(e.Holders) > 3 {
		e.Holders = e.Holders[:3]
	}
	return e
}
