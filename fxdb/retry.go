package fxdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/lifecycle"
)

type idempotentKey struct{}

// Idempotent marks what is done with the context as safe to be done twice: reads,
// and writes that come to the same the second time. When the connection is lost on
// the way, as in a restart or a failover, Exec, Query (until its first row),
// QueryRow and InTx are sent again on another one, for at most
// DB_CONNECTION_TIMEOUT_MS. The caller sees a delay instead of an error.
//
// A statement is sent three times at most, and twice where its connection broke without
// a word from the server, as it does when the statement crashes its backend. What the
// server ended for the caller's own doing is not sent again, a transaction that idled
// too long for one.
//
// Without the mark only what surely left nothing behind is sent again: a statement of which
// nothing had been sent, a preparation, and a BEGIN with its first statement, of which
// nothing was committed. A transaction of InTx that is read-only needs no mark. Results of SendBatch and a CopyFrom are never retried.
func Idempotent(ctx context.Context) context.Context {
	return context.WithValue(ctx, idempotentKey{}, true)
}

func isIdempotent(ctx context.Context) bool {
	marked, _ := ctx.Value(idempotentKey{}).(bool)
	return marked
}

// mayResend reports whether fxdb may send a statement again that failed with err: conn is
// lost, and the statement did not run or may run twice. mayResend does not ask
// pgconn.SafeToRetry, which ignores preparations.
func mayResend(ctx context.Context, conn *pgx.Conn, err error, idempotent bool) bool {
	if err == nil || !conn.IsClosed() || ctx.Err() != nil ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	code := endCode(conn, err)
	if !endedByOthers(code) {
		return false
	}
	return idempotent || code == idleTooLong || lostInPreparation(conn) || lifecycle.LostInPreparation(conn)
}

// endCode is the SQLSTATE with which the server ended a connection; it is empty where
// the connection broke without one.
func endCode(conn *pgx.Conn, err error) string {
	if code := lifecycle.EndedBy(conn); code != "" {
		return code
	}
	return codeOf(err)
}

// codeOf is the SQLSTATE of an error, if it has one.
func codeOf(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// idleTooLong ends a connection that nobody uses (idle_session_timeout), so what was
// sent to it then did not run.
const idleTooLong = "57P05"

// endedByOthers reports whether a connection ended for no doing of its user's: the
// server shut down, an administrator or another's crash ended it, a standby made room
// for its replay, a pooler lost its server. Not so a limit on transactions (25P03,
// 25P04), memory or disk that ran out (53, 58), damaged data (XX), a dropped
// database (57P04).
func endedByOthers(code string) bool {
	switch code {
	case "", "57P01", "57P02", "57P03", idleTooLong, "40001":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// resends is how often a statement is sent again at most. Each time it gets a
// connection that answers; the pool waits for the server meanwhile. The waits are 10 and
// 20 ms, each up to a half shorter or longer.
const (
	resends    = 2
	resendWait = 10 * time.Millisecond
)

func resendBackoff() retry.Backoff {
	return retry.WithMaxRetries(resends, retry.WithJitterPercent(50, retry.NewExponential(resendWait)))
}

// silences counts the losses of one statement that came without a word of the server's.
// The second is the statement's own doing: it had a connection that answered.
type silences int

func (n *silences) again(code string) bool {
	if code == "" {
		*n++
	}
	return *n < 2
}

// resendDead is how long another connection is waited for on a dead network, which
// took five seconds to be noticed: no caller is to be kept much longer than that.
const resendDead = 500 * time.Millisecond

// resend calls send until it no longer asks for another attempt. Each takes a
// connection in what is left of the time for one. lost is why it is needed, and is told too
// where no connection is to be had any more, or ctx ends before.
func (db *DB) resend(ctx context.Context, lost error, send func(within time.Duration) (again bool, err error)) error {
	until := time.Now().Add(db.core.cfg.ConnectionTimeout)
	var silent silences
	silent.again(codeOf(lost))
	err := retry.Do(ctx, resendBackoff(), func(context.Context) error {
		within := time.Until(until)
		if db.client.monitor.NetworkDead() {
			within = min(within, resendDead)
		}
		db.client.monitor.CountRetry(db.client.name, codeOf(lost))
		again, err := send(max(within, time.Millisecond))
		if again && silent.again(codeOf(err)) {
			lost = err
			return retry.RetryableError(err)
		}
		return err
	})
	var none *AcquireError
	gaveUp := errors.As(err, &none) || errors.Is(err, ErrDraining) || err != nil && ctx.Err() != nil
	if gaveUp && !errors.Is(err, lost) {
		return fmt.Errorf("%w; sending it again: %w", lost, err)
	}
	return err
}
