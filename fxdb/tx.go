package fxdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sethvargo/go-retry"
)

// transaction gives the connection back at its end.
type transaction struct {
	pgx.Tx
	conn *pgxpool.Conn
}

func (t *transaction) Commit(ctx context.Context) error {
	err := t.Tx.Commit(ctx)
	t.release()
	return err
}

func (t *transaction) Rollback(ctx context.Context) error {
	err := t.Tx.Rollback(ctx)
	t.release()
	return err
}

func (t *transaction) release() {
	if t.conn != nil {
		t.conn.Release()
		t.conn = nil
	}
}

// Begin starts a transaction in the default mode. See BeginTx.
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error) { return db.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction and holds a connection until its Commit or
// Rollback. With an identity in ctx the tenant's settings hold for all of it and
// travel with BEGIN in one round trip (two where opts.BeginQuery is set); the
// contexts of its statements no longer matter then.
//
// The transaction must not be used by several goroutines at once.
func (db *DB) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := db.acquire(ctx, s, forTransaction)
	if err != nil {
		return nil, err
	}
	tx, err := begin(ctx, conn, s, opts)
	if err != nil {
		conn.Release()
		return nil, err
	}
	return &transaction{Tx: tx, conn: conn}, nil
}

func begin(ctx context.Context, conn *pgxpool.Conn, s *scope, opts pgx.TxOptions) (tx pgx.Tx, err error) {
	switch {
	case s == nil:
		return conn.Conn().BeginTx(ctx, opts)
	case opts.BeginQuery != "":
		// It may be several statements, which a batch can't take.
		if tx, err = conn.Conn().BeginTx(ctx, opts); err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, s.sql, s.args...)
	default:
		b := &pgx.Batch{}
		b.BeginTx(opts)
		b.Queue(s.sql, s.args...)
		br := conn.SendBatch(ctx, b)
		err, tx = br.Close(), br.Tx()
	}
	if err != nil {
		_ = rollback(ctx, tx)
		return nil, err
	}
	return tx, nil
}

// rollbackTimeout bounds a rollback whose caller's context has ended.
const rollbackTimeout = 5 * time.Second

// rollback works after ctx has ended too: a connection that is rolled back can
// be used again, one that is not must be closed.
func rollback(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	err := tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) {
		return nil
	}
	return err
}

// InTx's attempts at a transaction that the server aborted for another's sake:
// waits of 5, 10, 20 and 40 ms, each up to half shorter or longer.
const (
	txRetries   = 4
	txRetryWait = 5 * time.Millisecond
)

// InTx runs fn in a transaction: commit when it returns nil, rollback when it
// returns an error or panics. The connection is given back in every case.
//
// When the server aborts the transaction with 40001 (serialization failure) or
// 40P01 (deadlock), in fn or at commit, fn runs again in a new one, up to four
// times. So fn must have no effects outside tx that can't be repeated. The
// error of fn is returned as it is; a failed commit is wrapped.
func (db *DB) InTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) error {
	backoff := retry.WithMaxRetries(txRetries, retry.WithJitterPercent(50, retry.NewExponential(txRetryWait)))
	for {
		err := db.inTx(ctx, opts, fn)
		if !isAborted(err) {
			return err
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
	}
}

func (db *DB) inTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	committing := false
	defer func() {
		if committing {
			return
		}
		if rerr := rollback(ctx, tx); rerr != nil && err != nil {
			err = fmt.Errorf("%w (and the rollback failed: %w)", err, rerr)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	committing = true
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// isAborted reports whether the server gave the transaction up for another's
// sake, so that nothing of it happened (PostgreSQL's documentation, 13.5).
func isAborted(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "40001" || pgErr.Code == "40P01")
}
