package fxdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-retry"

	"github.com/agentagency/onepool/internal/scoped"
)

// The server may abort a transaction in favour of another transaction. InTx then retries
// after 5, 10, 20 and 40 ms, each wait up to half shorter or longer.
const (
	txRetries   = 4
	txRetryWait = 5 * time.Millisecond
)

// InTx runs fn in a transaction. InTx commits if fn returns nil, and rolls back if fn
// returns an error or panics. InTx releases the connection in every case.
//
// If the server aborts the transaction with 40001 (serialization failure) or 40P01
// (deadlock), InTx runs fn again in a new transaction, up to four times. The abort may come
// in fn or at commit. InTx also runs fn again, as often as [Idempotent] says, if the connection is lost
// and the transaction is read-only or ctx is Idempotent. fn must therefore have no effects
// outside tx that can't be repeated. InTx returns the error of fn unchanged, and wraps the
// error of a failed commit.
//
// If ctx has a deadline, PostgreSQL from 17 on ends the transaction and the connection a second
// after the deadline (transaction_timeout), whatever fn does: the locks of the transaction don't
// outlive the caller.
func (db *DB) InTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) error {
	idempotent := opts.AccessMode == pgx.ReadOnly || isIdempotent(ctx)
	aborted := retry.WithMaxRetries(txRetries, retry.WithJitterPercent(50, retry.NewExponential(txRetryWait)))
	lost := resendBackoff()
	var silent silences
	for attempt := 1; ; attempt++ {
		mayRetry, code, err := db.inTx(ctx, opts, idempotent, attempt, fn)
		backoff := aborted
		switch {
		case mayRetry && !silent.mayRetry(code):
			return err
		case mayRetry:
			backoff = lost
		case !isAborted(err):
			return err
		default:
			code = scoped.SQLState(err)
		}
		wait, stop := backoff.Next()
		if stop {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		db.client.monitor.CountRetry(db.client.name, code)
	}
}

// inTx makes one attempt, and reports the attempt to the tracers. mayRetry reports whether
// the connection broke and the caller may retry. code is the SQLSTATE with which the
// server ended the connection.
func (db *DB) inTx(ctx context.Context, opts pgx.TxOptions, idempotent bool, attempt int, fn func(pgx.Tx) error) (mayRetry bool, code string, err error) {
	ctx, end := db.core.traceTx(ctx, db.client.name, attempt)
	result := errPanicked
	defer func() { end(result) }()
	mayRetry, code, err = db.attempt(ctx, opts, idempotent, fn)
	result = err
	return mayRetry, code, err
}

// attempt makes one attempt, without the tracers.
func (db *DB) attempt(ctx context.Context, opts pgx.TxOptions, idempotent bool, fn func(pgx.Tx) error) (mayRetry bool, code string, err error) {
	tx, err := db.beginScoped(ctx, opts, true)
	if err != nil {
		return false, "", err
	}
	tx.retryable = idempotent
	mayRetry, err = db.runTx(ctx, tx, idempotent, fn)
	return mayRetry, tx.endCode, err
}

// runTx runs fn in a transaction and ends the transaction.
func (db *DB) runTx(ctx context.Context, tx *transaction, idempotent bool, fn func(pgx.Tx) error) (mayRetry bool, err error) {
	committing := false
	defer func() {
		if !committing {
			if rerr := rollback(ctx, tx); rerr != nil && err != nil && !tx.lost {
				err = fmt.Errorf("%w (and the rollback failed: %w)", err, rerr)
			}
		}
		mayRetry = err != nil && idempotent && tx.lost && endedByOthers(tx.endCode) && ctx.Err() == nil &&
			!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}()
	if err := fn(tx); err != nil {
		return false, err
	}
	committing = true
	if err := tx.Commit(ctx); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	return false, nil
}

// isAborted reports whether the server aborted the transaction in favour of another
// transaction, without any effect (PostgreSQL's documentation, 13.5).
func isAborted(err error) bool {
	code := scoped.SQLState(err)
	return code == "40001" || code == "40P01"
}
