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

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

// transaction gives the connection back at its end. Its statements run with the
// identity that it began with, so one whose context has another is refused.
type transaction struct {
	pgx.Tx
	db       *DB
	conn     *pgxpool.Conn // nil: given back, or a savepoint's
	identity tenant.Identity
	inserts  bool   // its CopyFrom
	pooled   bool   // its session on the server is not ours
	scoped   bool   // it was told something that lasts as long as it does
	lost     bool   // the connection broke
	endCode  string // with which the server ended it, if it did
	opening  opening
}

func (db *DB) transaction(conn *pgxpool.Conn, s scope, tx pgx.Tx) *transaction {
	return &transaction{Tx: tx, db: db, conn: conn, identity: s.identity, inserts: db.inserts(s), pooled: db.core.cfg.pooled(), scoped: !s.isZero(), opening: opening{over: true}}
}

// fresh is the transaction that has just begun, and done nothing else.
func (db *DB) fresh(conn *pgxpool.Conn, s scope, tx pgx.Tx, opts pgx.TxOptions) *transaction {
	t := db.transaction(conn, s, tx)
	t.opening = opening{scope: s, beginQuery: opts.BeginQuery, over: s.isZero()}
	return t
}

// ErrTenantMismatch is returned for a statement in a transaction whose context has
// another tenant or user than the transaction began with, or has one where the
// transaction began with none. Begin another transaction for it.
var ErrTenantMismatch = errors.New("the context's tenant or user is not the one that the transaction began with: begin another transaction")

// errBeganWithNone is an ErrTenantMismatch whose transaction carries no tenant at all.
var errBeganWithNone = fmt.Errorf("%w (this transaction began with none: give the tenant's context to Begin)", ErrTenantMismatch)

func (t *transaction) refuse(ctx context.Context) error {
	id, ok := tenant.FromContext(ctx)
	if ok && t.identity.Tenant == "" {
		return errBeganWithNone
	}
	if ok && (id.Tenant != t.identity.Tenant || id.User != t.identity.User) {
		return ErrTenantMismatch
	}
	return nil
}

func (t *transaction) refuseStatement(ctx context.Context, sql string, args []any) error {
	if t.pooled && (namesStatement(args) || leavesSession(sql, args)) {
		return ErrNeedsSession
	}
	if err := t.refuse(ctx); err != nil || !t.scoped {
		return err
	}
	return refuseTextInScope(t.Tx.Conn(), sql, args)
}

// check refuses the text of a rewriter.
func (t *transaction) check(sql string) error {
	if t.pooled && leavesSession(sql, nil) {
		return ErrNeedsSession
	}
	if t.scoped {
		return refuseInScope(t.Tx.Conn(), sql, verdictOf(sql, false))
	}
	return nil
}

func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return pgconn.CommandTag{}, err
	}
	args = watch(args, t.check)
	switch tag, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		tag, err := t.Tx.Exec(ctx, sql, args...)
		return tag, withCause(t.Tx.Conn(), err)
	case err != nil || rest == "":
		return tag, err
	default:
		return t.Tx.Exec(ctx, rest)
	}
}

func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return errRows{err}, err
	}
	args = watch(args, t.check)
	switch tag, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		return t.Tx.Query(ctx, sql, args...)
	case err != nil:
		return errRows{err}, err
	case rest == "":
		return noRows{tag: tag}, nil
	default:
		return t.Tx.Query(ctx, rest)
	}
}

func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return errRow{err}
	}
	args = watch(args, t.check)
	switch _, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		return t.Tx.QueryRow(ctx, sql, args...)
	case err != nil:
		return errRow{err}
	case rest == "":
		return errRow{pgx.ErrNoRows}
	default:
		return t.Tx.QueryRow(ctx, rest)
	}
}

func (t *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	err := t.refuse(ctx)
	if err == nil && t.pooled {
		err = refuseBatch(b)
	}
	if err == nil && t.scoped {
		err = refuseBatchInScope(t.Tx.Conn(), b)
	}
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	t.opening.over = true
	return t.Tx.SendBatch(ctx, watchBatch(b, t.check))
}

// Prepare prepares a statement by name, which a pooler can't keep.
func (t *transaction) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if t.pooled {
		return nil, ErrNeedsSession
	}
	if err := t.check(sql); err != nil {
		return nil, err
	}
	t.opening.over = true
	return t.Tx.Prepare(ctx, name, sql)
}

// Begin sets a savepoint, whose statements are refused alike.
func (t *transaction) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.refuse(ctx); err != nil {
		return nil, err
	}
	t.opening.over = true
	inner, err := t.Tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: inner, db: t.db, identity: t.identity, inserts: t.inserts, pooled: t.pooled, scoped: t.scoped, opening: opening{over: true}}, nil
}

func (t *transaction) Commit(ctx context.Context) error {
	err := withCause(t.Tx.Conn(), t.Tx.Commit(ctx))
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
		t.lost, t.endCode = t.conn.Conn().IsClosed(), lifecycle.EndedBy(t.conn.Conn())
		t.conn.Release()
		t.conn = nil
	}
}

// Begin starts a transaction in the default mode. See BeginTx.
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error) { return db.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction and holds a connection until its Commit or
// Rollback. With an identity in ctx the tenant's settings hold for all of it and
// travel with BEGIN in one round trip (two where opts.BeginQuery is set
// or the mode is simple_protocol). Its
// statements need no identity in their contexts; with another tenant's or user's
// they fail with ErrTenantMismatch. A text that would end the transaction fails with a
// *ScopeError.
//
// The transaction may begin with SET TRANSACTION and LOCK, which must come before any
// query: with a tenant or Timeouts the transaction then begins anew, in the flight of
// that statement. A later SET TRANSACTION or LOCK of the opening releases an earlier LOCK
// for a moment.
//
// Where the connection is lost before the transaction has begun, it begins on
// another one, within DB_CONNECTION_TIMEOUT_MS.
//
// The transaction must not be used by several goroutines at once.
func (db *DB) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	tx, again, err := db.beginTx(ctx, s, 0, opts)
	if again {
		tx, err = db.resendBegin(ctx, err, s, opts)
	}
	if err != nil {
		return nil, err
	}
	return tx, nil
}

func (db *DB) resendBegin(ctx context.Context, lost error, s scope, opts pgx.TxOptions) (tx *transaction, err error) {
	err = db.resend(ctx, lost, func(within time.Duration) (again bool, err error) {
		tx, again, err = db.beginTx(ctx, s, within, opts)
		return again, err
	})
	return tx, err
}

func (db *DB) beginTx(ctx context.Context, s scope, within time.Duration, opts pgx.TxOptions) (_ *transaction, again bool, err error) {
	conn, err := db.acquire(ctx, s, forTransaction, within)
	if err != nil {
		return nil, false, err
	}
	begun := false
	defer func() {
		if !begun { // it failed, or a tracer panics
			conn.Release()
		}
	}()
	tx, err := db.begin(ctx, conn.Conn(), s, opts)
	if err != nil {
		// A transaction that has only begun did nothing, but BeginQuery may be anything.
		again = mayResend(ctx, conn.Conn(), err, opts.BeginQuery == "" || isIdempotent(ctx))
		return nil, again, err
	}
	begun = true
	return db.fresh(conn, s, tx, opts), false, nil
}

func (db *DB) begin(ctx context.Context, conn *pgx.Conn, s scope, opts pgx.TxOptions) (tx pgx.Tx, err error) {
	switch {
	case s.isZero():
		return conn.BeginTx(ctx, opts)
	case opts.BeginQuery != "" || db.core.mode == pgx.QueryExecModeSimpleProtocol:
		// It may be several statements, which a batch can't take; and pgx would write
		// the identity into the text of a simple batch.
		if tx, err = conn.BeginTx(ctx, opts); err != nil {
			return nil, err
		}
		b := &pgconn.Batch{}
		statementsOf(conn, db.core.statements).addScope(b, s, false)
		err = conn.PgConn().ExecBatch(ctx, b).Close()
	default:
		b := &pgx.Batch{}
		b.BeginTx(opts)
		b.Queue(s.sql(), s.args()...)
		br := conn.SendBatch(db.core.traced.begins(ctx, b), b)
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
// times. It runs again too, as often as Idempotent says, when the connection is lost and
// the transaction is read-only or ctx is Idempotent. So fn must have no effects outside
// tx that can't be repeated. The error of fn is returned as it is; a failed commit is
// wrapped.
func (db *DB) InTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) error {
	idempotent := opts.AccessMode == pgx.ReadOnly || isIdempotent(ctx)
	aborted := retry.WithMaxRetries(txRetries, retry.WithJitterPercent(50, retry.NewExponential(txRetryWait)))
	lost := resendBackoff()
	var silent silences
	for {
		again, code, err := db.inTx(ctx, opts, idempotent, fn)
		backoff := aborted
		switch {
		case again && !silent.again(code):
			return err
		case again:
			backoff = lost
		case !isAborted(err):
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

// inTx makes one attempt. again says that the connection broke, and that another
// may be made; code is what the server ended the connection with.
func (db *DB) inTx(ctx context.Context, opts pgx.TxOptions, idempotent bool, fn func(pgx.Tx) error) (again bool, code string, err error) {
	begun, err := db.BeginTx(ctx, opts)
	if err != nil {
		return false, "", err
	}
	tx := begun.(*transaction)
	again, err = db.runTx(ctx, tx, idempotent, fn)
	return again, tx.endCode, err
}

// runTx runs fn in a transaction and ends that.
func (db *DB) runTx(ctx context.Context, tx *transaction, idempotent bool, fn func(pgx.Tx) error) (again bool, err error) {
	committing := false
	defer func() {
		if !committing {
			if rerr := rollback(ctx, tx); rerr != nil && err != nil && !tx.lost {
				err = fmt.Errorf("%w (and the rollback failed: %w)", err, rerr)
			}
		}
		again = err != nil && idempotent && tx.lost && endedByOthers(tx.endCode) && ctx.Err() == nil &&
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

// isAborted reports whether the server gave the transaction up for another's
// sake, so that nothing of it happened (PostgreSQL's documentation, 13.5).
func isAborted(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "40001" || pgErr.Code == "40P01")
}
