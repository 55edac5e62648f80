package fxdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

type idempotentKey struct{}

// Idempotent marks the work of the context as safe to run twice: reads, and writes with
// the same result the second time. If the connection is lost on the way, as in a restart
// or a failover, fxdb retries on a new connection, for at most DB_CONNECTION_TIMEOUT_MS.
// fxdb retries Exec, Query (until its first row), QueryRow and InTx. The caller sees a delay
// instead of an error.
//
// fxdb sends a statement at most three times. fxdb sends a statement at most twice if the
// connection broke without a message from the server, as when the statement crashes the
// backend. fxdb does not retry after the server ended the connection for the caller's own
// doing, for example because a transaction idled too long.
//
// Without the mark fxdb retries only an attempt that surely changed nothing:
//
//   - a statement that was not sent, or was only prepared
//   - BEGIN with the first statement: the server has committed nothing
//   - an INSERT, UPDATE, DELETE, MERGE or SELECT of Exec or QueryRow that a standby refused
//     (25006), if the pool expects a primary
//
// A read-only transaction of InTx needs no mark. fxdb never retries results of SendBatch or a
// CopyFrom.
func Idempotent(ctx context.Context) context.Context {
	return context.WithValue(ctx, idempotentKey{}, true)
}

func isIdempotent(ctx context.Context) bool {
	marked, _ := ctx.Value(idempotentKey{}).(bool)
	return marked
}

// mayResend reports whether fxdb may retry a statement that failed with err: conn is lost,
// and the statement did not run or may run twice. mayResend does not ask
// pgconn.SafeToRetry, because SafeToRetry ignores preparations.
func mayResend(ctx context.Context, conn *pgx.Conn, err error, idempotent bool) bool {
	if err == nil || !conn.IsClosed() || ctx.Err() != nil ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	code := endCode(conn, err)
	if !endedByOthers(code) {
		return false
	}
	var limits *limitsError
	return idempotent || code == idleTooLong || errors.As(err, &limits) || scoped.LostInPreparation(conn) || backend.Of(conn).LostInPreparation()
}

// mayResendStatement reports the same for a text outside a transaction. fxdb also retries an
// unmarked statement that a standby has refused: the statement surely did not run, and the
// pool goes on to the primary.
func (db *DB) mayResendStatement(ctx context.Context, conn *pgx.Conn, err error, sql string) bool {
	return mayResend(ctx, conn, err, isIdempotent(ctx)) || db.standbyRefused(ctx, conn, err, sql)
}

// readOnlyTransaction is the SQLSTATE of a write in a read-only transaction.
const readOnlyTransaction = "25006"

// standbyRefused reports whether a standby refused a statement of a pool that expects writes.
func (db *DB) standbyRefused(ctx context.Context, conn *pgx.Conn, err error, sql string) bool {
	return scoped.SQLState(err) == readOnlyTransaction && ctx.Err() == nil && !conn.IsClosed() &&
		conn.PgConn().TxStatus() == 'I' && db.client.monitor.MeetsStandby(conn) && isOneWrite(sql)
}

// isOneWrite reports whether a text is one statement that the server undoes as a whole: CALL
// and DO may commit inside.
func isOneWrite(sql string) bool {
	all := sqllex.Statements(sql)
	if len(all) != 1 || all[0].Taint&(sqllex.Unreadable|sqllex.Ambiguous) != 0 {
		return false
	}
	switch all[0].Kind {
	case sqllex.KindInsert, sqllex.KindUpdate, sqllex.KindDelete, sqllex.KindMerge, sqllex.KindSelect:
		return true
	}
	return false
}

// endCode returns the SQLSTATE with which the server ended a connection, and an empty string if
// the connection broke without a SQLSTATE.
func endCode(conn *pgx.Conn, err error) string {
	if code := backend.Of(conn).EndedBy(); code != "" {
		return code
	}
	return scoped.SQLState(err)
}

// idleTooLong ends an idle connection (idle_session_timeout): a statement sent to the
// connection did not run.
const idleTooLong = "57P05"

// endedByOthers reports whether a connection ended without the user's doing: by a shutdown, an
// administrator, the crash of another backend, a standby's replay, or a pooler that lost its
// server. endedByOthers is false for a limit on transactions (25P03, 25P04), for memory or disk
// that ran out (53, 58), for damaged data (XX) and for a dropped database (57P04).
func endedByOthers(code string) bool {
	switch code {
	case "", "57P01", "57P02", "57P03", idleTooLong, "40001":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// resends is the highest number of retries of a statement. Each retry gets a connection
// that answers; the pool waits for the server meanwhile. The waits are 10 and 20 ms, each
// up to a half shorter or longer.
const (
	resends    = 2
	resendWait = 10 * time.Millisecond
)

func resendBackoff() retry.Backoff {
	return retry.WithMaxRetries(resends, retry.WithJitterPercent(50, retry.NewExponential(resendWait)))
}

// silences counts the losses of a statement without a message from the server. The second
// is the statement's own doing: the statement had a connection that answered.
type silences int

func (n *silences) mayRetry(code string) bool {
	if code == "" {
		*n++
	}
	return *n < 2
}

// resendDead bounds the wait for a new connection on a dead network. The pool needs five
// seconds to notice a dead network, and a caller must not wait much longer.
const resendDead = 500 * time.Millisecond

// resend calls attempt until attempt asks for no retry. Each attempt acquires a
// connection in the rest of DB_CONNECTION_TIMEOUT_MS. lost is the cause of the retry. The
// error wraps lost too if no connection is available or ctx ends.
func (db *DB) resend(ctx context.Context, lost error, attempt func(within time.Duration) (retry bool, err error)) error {
	until := time.Now().Add(db.core.cfg.ConnectionTimeout)
	var silent silences
	silent.mayRetry(scoped.SQLState(lost))
	err := retry.Do(ctx, resendBackoff(), func(context.Context) error {
		within := time.Until(until)
		if db.client.monitor.NetworkDead() {
			within = min(within, resendDead)
		}
		db.client.monitor.CountRetry(db.client.name, scoped.SQLState(lost))
		more, err := attempt(max(within, time.Millisecond))
		if more && silent.mayRetry(scoped.SQLState(err)) {
			lost = err
			return retry.RetryableError(err)
		}
		return err
	})
	var none *AcquireError
	gaveUp := errors.As(err, &none) || errors.Is(err, ErrDraining) || err != nil && ctx.Err() != nil
	if gaveUp && !errors.Is(err, lost) {
		return fmt.Errorf("%w; the retry failed: %w", lost, err)
	}
	return err
}

// resendFor does as [DB.resend], and returns the result of the last attempt.
func resendFor[T any](ctx context.Context, db *DB, lost error, attempt func(within time.Duration) (_ T, retry bool, err error)) (result T, err error) {
	err = db.resend(ctx, lost, func(within time.Duration) (retry bool, err error) {
		result, retry, err = attempt(within)
		return retry, err
	})
	return result, err
}
