package scoped

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// queryCanceled is the SQLSTATE of a statement that the server ended.
const queryCanceled = "57014"

// A statement whose context has a deadline carries the remaining time as its
// statement_timeout. The server ends the statement, and the connection lives: pgx can only
// close the connection of a context that has ended.

// leastTimeout is the smaller of the deadline and a statement_timeout that the pool does not
// know: of the role, of the database or of options=.
const leastTimeout = "least($%d::int, nullif((extract(epoch from " +
	"pg_catalog.current_setting('statement_timeout')::interval) * 1000)::int, 0))::text"

// appendRemaining appends the milliseconds until the deadline, rounded up: the server must not
// end the statement before the deadline.
func appendRemaining(dst []byte, deadline time.Time) []byte {
	ms := (time.Until(deadline) + time.Millisecond - 1).Milliseconds()
	return strconv.AppendInt(dst, min(max(ms, 1), math.MaxInt32), 10)
}

// appendLongest appends the milliseconds of a transaction: the client's limit, or the time until
// a second after end, the deadline of InTx. In that second InTx rolls back, and the connection
// lives.
func appendLongest(dst []byte, limit time.Duration, end time.Time) []byte {
	if !end.IsZero() {
		if left := max(time.Until(end), 0) + time.Second; limit == 0 || left < limit {
			limit = left
		}
	}
	return strconv.AppendInt(dst, min(max(limit.Milliseconds(), 1), math.MaxInt32), 10)
}

// deadlineError is the error of a statement that the server ended at the caller's deadline.
type deadlineError struct{ error }

func (e *deadlineError) Error() string {
	return fmt.Sprintf("%v: the server ended the statement: %v", context.DeadlineExceeded, e.error)
}

func (e *deadlineError) Unwrap() []error { return []error{context.DeadlineExceeded, e.error} }

// atDeadline marks err if the server ended the statement because the deadline had passed.
// Without the mark, queryCanceled is a limit of the server or a cancel request.
func atDeadline(deadline time.Time, err error) error {
	if err == nil || deadline.IsZero() || SQLState(err) != queryCanceled || time.Now().Before(deadline) ||
		errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &deadlineError{err}
}

// SQLState returns the SQLSTATE of err, or an empty string.
func SQLState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// watcherKey finds a connection's watcher in pgconn's CustomData.
const watcherKey = "onepool.watcher"

// watcher ends the reads and writes of a connection when the context of the connection's
// user ends. At a deadline that the server knows, and after a cancel at the deadline, the watcher
// gives the server's answer time to arrive.
type watcher struct {
	conn     *pgconn.PgConn
	deadline bool      // the server has the deadline of the statement that runs
	cancelAt time.Time // the deadline at which cancel runs, see CancelAtDeadline
	result   atomic.Int32
	grace    func() time.Duration
	cancel   func(*pgconn.PgConn) bool
}

// The results of a watcher's cancel.
const (
	notLate  int32 = iota
	canceled       // the statement that runs, or none if the statement had ended
	doubtful       // a cancel may still come, so the connection runs no other statement
)

// NewWatcher returns the ctxwatch.Handler of new connections, for
// pgconn.Config.BuildContextWatcherHandler. grace is how long after a deadline the handler
// waits for the answer of a server that has the deadline too. cancel, which may be nil, cancels
// the statement of a connection, as lifecycle.Monitor.CancelStatement does.
func NewWatcher(grace func() time.Duration, cancel func(*pgconn.PgConn) bool) func(*pgconn.PgConn) ctxwatch.Handler {
	return func(conn *pgconn.PgConn) ctxwatch.Handler {
		w := &watcher{conn: conn, grace: grace, cancel: cancel}
		conn.CustomData()[watcherKey] = w
		return w
	}
}

// HandleCancel runs in a goroutine for which ctxwatch waits before the connection is used again.
func (w *watcher) HandleCancel(ctx context.Context) {
	waits := false
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		waits = w.deadline || w.cancelStatement(ctx)
	}
	at := time.Now()
	if waits {
		at = at.Add(w.grace())
	}
	_ = w.conn.Conn().SetDeadline(at)
}

// cancelStatement cancels the statement of CancelAtDeadline, and reports whether the server has
// answered.
func (w *watcher) cancelStatement(ctx context.Context) bool {
	if deadline, _ := ctx.Deadline(); w.cancel == nil || !deadline.Equal(w.cancelAt) {
		return false
	}
	if !w.cancel(w.conn) {
		w.result.Store(doubtful)
		return false
	}
	w.result.Store(canceled)
	return true
}

func (w *watcher) HandleUnwatchAfterCancel() {
	if w.result.Load() != doubtful {
		_ = w.conn.Conn().SetDeadline(time.Time{})
	}
}

func watcherOf(conn *pgx.Conn) *watcher {
	w, _ := conn.PgConn().CustomData()[watcherKey].(*watcher)
	return w
}

// serverHas sets whether the server has the deadline of the statement that runs next.
func serverHas(conn *pgx.Conn, deadline bool) {
	if w := watcherOf(conn); w != nil {
		w.deadline = deadline
	}
}

// CancelAtDeadline asks for a cancel of the statement that conn runs next with ctx, if the statement
// still runs at the deadline of ctx. Such a statement carries no deadline. Call [Ended] after the
// statement.
func CancelAtDeadline(ctx context.Context, conn *pgx.Conn) {
	if deadline, ok := ctx.Deadline(); ok {
		if w := watcherOf(conn); w != nil {
			w.cancelAt = deadline
		}
	}
}

// Ended returns the error that the caller sees for the error err of a statement without a scope.
// Ended closes a connection on which a cancel of [CancelAtDeadline] may still come.
func Ended(conn *pgx.Conn, err error) error {
	w := watcherOf(conn)
	if w == nil {
		return WithCause(conn, err)
	}
	w.cancelAt = time.Time{} // a COPY with the same context is no statement of CancelAtDeadline
	switch w.result.Swap(notLate) {
	case canceled:
		if SQLState(err) == queryCanceled {
			return &deadlineError{err}
		}
	case doubtful:
		if !conn.IsClosed() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = conn.Close(ctx)
		}
	}
	return WithCause(conn, err)
}
