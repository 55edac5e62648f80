package fxdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/lifecycle"
)

type idempotentKey struct{}

// Idempotent marks what is done with the context as safe to be done twice: reads,
// and writes that come to the same the second time. When the connection is lost on
// the way, as in a restart or a failover, Exec, Query (until its first row),
// QueryRow and InTx are sent again on another one, backing off, for at most
// DB_CONNECTION_TIMEOUT_MS. The caller sees a delay instead of an error.
//
// Without the mark only what surely did not run is sent again: nothing of it had
// been sent, or it was being prepared, or it was a BEGIN. A transaction of InTx that
// is read-only needs no mark. Results of SendBatch and a CopyFrom are never retried.
func Idempotent(ctx context.Context) context.Context {
	return context.WithValue(ctx, idempotentKey{}, true)
}

func isIdempotent(ctx context.Context) bool {
	marked, _ := ctx.Value(idempotentKey{}).(bool)
	return marked
}

// unsentError is a connection that broke before the statement was sent.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error     { return e.error }
func (e *unsentError) SafeToRetry() bool { return true }

// sentError is a connection that broke after it. pgconn says "conn closed" then,
// which it counts as safe to retry, because its MultiResultReader asks once more
// after the failure (pgx v5.12).
type sentError struct{ error }

func (e *sentError) Error() string     { return "connection lost: " + e.error.Error() }
func (e *sentError) Unwrap() error     { return e.error }
func (e *sentError) SafeToRetry() bool { return false }

// mayResend reports whether what failed with err may be sent again: its connection,
// conn, is lost, and it did not run or may run twice. pgconn.SafeToRetry is not
// asked, see sentError.
func mayResend(ctx context.Context, conn *pgx.Conn, err error, idempotent bool) bool {
	if err == nil || !conn.IsClosed() || ctx.Err() != nil ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var unsent *unsentError
	return idempotent || errors.As(err, &unsent) || lifecycle.LostInPreparation(conn)
}

// The waits between attempts on lost connections: 10 ms, doubled up to 500 ms, each
// up to a half shorter or longer.
const (
	resendWait = 10 * time.Millisecond
	resendMost = 500 * time.Millisecond
)

func (db *DB) resendBackoff() retry.Backoff {
	return retry.WithMaxDuration(db.core.cfg.ConnectionTimeout,
		retry.WithCappedDuration(resendMost, retry.WithJitterPercent(50, retry.NewExponential(resendWait))))
}

// resendDead is how long another connection is waited for on a dead network, which
// took five seconds to be noticed: no caller is to be kept much longer than that.
const resendDead = 500 * time.Millisecond

// resend calls send until it no longer asks for another attempt. Each takes a
// connection in what is left of the time. lost is why it is needed, and is told too
// where no connection is to be had any more, or ctx ends before.
func (db *DB) resend(ctx context.Context, lost error, send func(within time.Duration) (again bool, err error)) error {
	until := time.Now().Add(db.core.cfg.ConnectionTimeout)
	err := retry.Do(ctx, db.resendBackoff(), func(context.Context) error {
		within := time.Until(until)
		if db.client.monitor.NetworkDead() {
			within = min(within, resendDead)
		}
		again, err := send(max(within, time.Millisecond))
		if again {
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
