package fxdb

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/scoped"
)

// Begin starts a transaction in the default mode. See [DB.BeginTx].
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error) { return db.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction and holds a connection until Commit or Rollback.
//
// BEGIN and the scope travel with the first statement, in one round trip. The first
// statement then returns the error of BEGIN. A transaction without a statement sends
// nothing. Conn, LargeObjects, Prepare, CopyFrom, SendBatch and Begin (a savepoint) send
// BEGIN first, in a separate round trip. BeginTx itself sends BEGIN if opts has a
// BeginQuery or CommitQuery, or if the mode is simple_protocol.
//
// With an identity in ctx the tenant's settings hold for the whole transaction. The
// statements need no identity in their contexts. A statement with another tenant or user
// in its context fails with [ErrTenantMismatch]. A text that would end the transaction
// fails with a [*ScopeError].
//
// The transaction may begin with SET TRANSACTION and LOCK, which must come before any
// query: with a tenant or Timeouts the transaction then begins anew, in the flight of the
// statement. Statements that need no snapshot (SET, SHOW, LISTEN, NOTIFY) and ended savepoints
// may come before, as in pgx. A later SET TRANSACTION or LOCK of the opening releases an
// earlier LOCK for a moment.
//
// With a tenant a LOCK in a savepoint comes after the snapshot of the scope. The server then
// refuses SET TRANSACTION ISOLATION LEVEL on the transaction's Conn (25001): use the
// transaction, or opts.
//
// If the connection is lost before the first statement has its answer, fxdb retries BEGIN
// and the statement on another connection: the server has committed nothing. fxdb retries
// within DB_CONNECTION_TIMEOUT_MS, as often as [Idempotent] says.
//
// Several goroutines must not use a transaction at once.
func (db *DB) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	tx, err := db.beginScoped(ctx, opts, false)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

func (db *DB) beginScoped(ctx context.Context, opts pgx.TxOptions, inTx bool) (*transaction, error) {
	s, err := db.scopeForTx(ctx, inTx)
	if err != nil {
		return nil, err
	}
	tx, retry, err := db.beginTx(ctx, s, 0, opts)
	if retry {
		return db.resendBegin(ctx, err, s, opts)
	}
	return tx, err
}

func (db *DB) resendBegin(ctx context.Context, lost error, s scoped.Scope, opts pgx.TxOptions) (*transaction, error) {
	return resendFor(ctx, db, lost, func(within time.Duration) (*transaction, bool, error) {
		return db.beginTx(ctx, s, within, opts)
	})
}

func (db *DB) beginTx(ctx context.Context, s scoped.Scope, within time.Duration, opts pgx.TxOptions) (_ *transaction, retry bool, err error) {
	conn, err := db.acquire(ctx, s.Identity.Tenant, forTransaction, within)
	if err != nil {
		return nil, false, err
	}
	if db.delays(opts) {
		return db.newUnsent(conn, s, opts), false, nil
	}
	begun := false
	defer func() {
		if !begun { // BEGIN failed, or a tracer panics
			conn.Release()
		}
	}()
	tx, err := db.begin(ctx, conn.Conn(), s, opts)
	if err != nil {
		// A transaction that has only begun did nothing, but BeginQuery may be anything.
		return nil, mayResend(ctx, conn.Conn(), err, opts.BeginQuery == "" || isIdempotent(ctx)), err
	}
	begun = true
	return db.newBegun(conn, s, tx, opts), false, nil
}

func (db *DB) begin(ctx context.Context, conn *pgx.Conn, s scoped.Scope, opts pgx.TxOptions) (tx pgx.Tx, err error) {
	switch {
	case s.IsZero():
		return conn.BeginTx(ctx, opts)
	case opts.BeginQuery != "" || db.core.engine.Mode == pgx.QueryExecModeSimpleProtocol || s.IsConstant() && opts.CommitQuery != "":
		// BeginQuery may hold several statements, and a batch can't take several
		// statements. pgx would also write the identity into the text of a simple batch.
		if tx, err = conn.BeginTx(ctx, opts); err != nil {
			return nil, err
		}
		b := &pgconn.Batch{}
		s.AddAfterBegin(b)
		err = conn.PgConn().ExecBatch(ctx, b).Close()
	case s.IsConstant():
		begin := beginText(opts)
		ended := db.core.traced.begin(ctx, conn, begin)
		b := &pgconn.Batch{}
		b.ExecParams(begin, nil, nil, nil, nil)
		s.AddAfterBegin(b)
		err, tx = conn.PgConn().ExecBatch(ctx, b).Close(), newServerTx(conn)
		if ended != nil {
			ended(err)
		}
	default:
		b := &pgx.Batch{}
		b.BeginTx(opts)
		b.Queue(s.SQL(), s.Args()...)
		br := conn.SendBatch(db.core.traced.begins(ctx, b), b)
		err, tx = br.Close(), br.Tx()
	}
	if err != nil {
		_ = rollback(ctx, tx)
		return nil, err
	}
	return tx, nil
}

// rollback works after ctx has ended too. The pool can reuse a connection after a
// rollback, and must close a connection without a rollback.
func rollback(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := scoped.RollbackContext(ctx)
	defer cancel()
	err := tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) {
		return nil
	}
	return err
}
