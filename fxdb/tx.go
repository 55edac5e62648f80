package fxdb

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
)

// transaction releases the connection at the end. The statements run with the identity of
// the transaction's begin, and a statement whose context has another identity is refused.
type transaction struct {
	pgx.Tx
	db        *DB
	conn      *pgxpool.Conn // nil: given back, or a savepoint's
	identity  tenant.Identity
	inserts   bool         // CopyFrom inserts
	pooled    bool         // a pooler owns the session on the server
	guard     scoped.Guard // of the scope, which lasts until the transaction's end
	lost      bool         // the connection broke
	retryable bool         // InTx runs the transaction again if the connection is lost
	endCode   string       // SQLSTATE with which the server ended the connection
	opening   *opening
	pending   *pendingBegin // not nil: the server does not have the transaction yet
	outer     *transaction  // around a savepoint
	after     []afterCommit // of the transaction and its savepoints
	ended     bool          // by Commit or Rollback
	locked    bool          // holds an advisory lock of the session
}

func (db *DB) transaction(conn *pgxpool.Conn, s scoped.Scope, tx pgx.Tx) *transaction {
	return &transaction{Tx: tx, db: db, conn: conn, identity: s.Identity, inserts: db.inserts(s), pooled: db.core.cfg.pooled(), guard: s.Guard(), opening: &opening{over: true}}
}

// newBegun returns a transaction that has begun, before the first statement.
func (db *DB) newBegun(conn *pgxpool.Conn, s scoped.Scope, tx pgx.Tx, opts pgx.TxOptions) *transaction {
	t := db.transaction(conn, s, tx)
	t.opening = &opening{scope: s, beginQuery: opts.BeginQuery, over: s.IsConstant()}
	t.mark()
	return t
}

// errBeganWithNone is the [ErrTenantMismatch] of a transaction without a tenant.
var errBeganWithNone = fmt.Errorf("%w (the transaction has no tenant: give the tenant's context to Begin)", ErrTenantMismatch)

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
	t.noteLock(sql)
	if t.pooled && (namesStatement(args) || leavesSession(sql, args)) {
		return ErrNeedsSession
	}
	if err := t.refuse(ctx); err != nil {
		return err
	}
	return refuseTextInScope(t.Tx.Conn(), t.guard, sql, args)
}

// check refuses the text of a rewriter.
func (t *transaction) check(sql string) error {
	v := scoped.EffectsOf(sql, false)
	if t.pooled && scoped.LeavesSession(v) {
		return ErrNeedsSession
	}
	return t.guard.Refuse(t.Tx.Conn(), sql, v)
}

func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return pgconn.CommandTag{}, err
	}
	defer t.mark()
	args = watch(args, t.check)
	switch joins, err := t.startUnlessJoined(ctx, sql, args); {
	case err != nil:
		return pgconn.CommandTag{}, err
	case joins:
		return t.execFirst(ctx, sql, args)
	}
	if deadline := t.statementDeadline(ctx, sql, args); !deadline.IsZero() {
		return t.execLimited(ctx, deadline, sql, args)
	}
	switch tag, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		tag, err := t.Tx.Exec(ctx, sql, args...)
		return tag, scoped.WithCause(t.Tx.Conn(), err)
	case err != nil || rest == "":
		return tag, err
	default:
		return t.Tx.Exec(ctx, rest)
	}
}

func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return scoped.FailedRows(err), err
	}
	defer t.mark()
	args = watch(args, t.check)
	switch joins, err := t.startUnlessJoined(ctx, sql, args); {
	case err != nil:
		return scoped.FailedRows(err), err
	case joins:
		return t.queryFirst(ctx, sql, args) //nolint:sqlclosecheck // the caller closes the rows
	}
	if deadline := t.statementDeadline(ctx, sql, args); !deadline.IsZero() {
		return t.queryLimited(ctx, deadline, sql, args) //nolint:sqlclosecheck // the caller closes the rows
	}
	switch tag, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		return t.Tx.Query(ctx, sql, args...) //nolint:sqlclosecheck // the caller closes the rows
	case err != nil:
		return scoped.FailedRows(err), err
	default: // the first statement has no rows
		return noRows{scoped.FailedRows(t.execRest(ctx, rest)), tag}, nil
	}
}

func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.refuseStatement(ctx, sql, args); err != nil {
		return scoped.FailedRow(err)
	}
	defer t.mark()
	args = watch(args, t.check)
	switch joins, err := t.startUnlessJoined(ctx, sql, args); {
	case err != nil:
		return scoped.FailedRow(err)
	case joins:
		return t.queryRowFirst(ctx, sql, args)
	}
	if deadline := t.statementDeadline(ctx, sql, args); !deadline.IsZero() {
		return t.queryRowLimited(ctx, deadline, sql, args)
	}
	switch _, rest, ran, err := t.open(ctx, sql, args); {
	case !ran:
		return t.Tx.QueryRow(ctx, sql, args...)
	default:
		if err == nil {
			err = t.execRest(ctx, rest)
		}
		return scoped.FailedRow(cmp.Or(err, pgx.ErrNoRows))
	}
}

// noRows are the rows of a statement that returns no rows.
type noRows struct {
	pgx.Rows
	tag pgconn.CommandTag
}

func (r noRows) CommandTag() pgconn.CommandTag { return r.tag }

// execRest runs the statements of a text after the first, if any.
func (t *transaction) execRest(ctx context.Context, rest string) error {
	if rest == "" {
		return nil
	}
	_, err := t.Tx.Exec(ctx, rest)
	return err
}

func (t *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	err := t.refuse(ctx)
	if err == nil && t.pooled {
		err = refuseBatch(b)
	}
	if err == nil {
		err = refuseBatchInScope(t.Tx.Conn(), t.guard, b)
	}
	if err == nil {
		err = t.start(ctx)
	}
	t.endOpeningIfUsed()
	defer t.mark()
	for _, q := range b.QueuedQueries {
		t.noteLock(q.SQL)
	}
	own := b
	if err == nil {
		own, err = t.openBatch(ctx, b)
	}
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return t.Tx.SendBatch(ctx, watchBatch(own, t.check))
}

// Prepare prepares a statement by name. Prepare fails behind a pooler, because a pooler
// can't keep the statement.
func (t *transaction) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if t.pooled {
		return nil, ErrNeedsSession
	}
	if err := t.check(sql); err != nil {
		return nil, err
	}
	if err := t.start(ctx); err != nil {
		return nil, err
	}
	t.followPrepare(sql)
	defer t.mark()
	return t.Tx.Prepare(ctx, name, sql)
}

// Conn sends BEGIN if BEGIN is pending. A statement on the connection ends the opening.
func (t *transaction) Conn() *pgx.Conn {
	t.startNow()
	t.endOpeningIfUnwatched()
	return t.Tx.Conn()
}

// LargeObjects sends BEGIN if BEGIN is pending. A use of the large objects ends the opening.
func (t *transaction) LargeObjects() pgx.LargeObjects {
	t.startNow()
	t.endOpeningIfUsed()
	t.endOpeningIfUnwatched()
	defer t.mark()
	return t.Tx.LargeObjects()
}

// Begin sets a savepoint. The savepoint refuses the same statements as the transaction.
func (t *transaction) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.refuse(ctx); err != nil {
		return nil, err
	}
	if err := t.start(ctx); err != nil {
		return nil, err
	}
	t.endOpeningIfUsed()
	defer t.mark()
	inner, err := t.Tx.Begin(ctx)
	if err != nil {
		t.opening.over = true
		return nil, err
	}
	sp := &transaction{Tx: inner, db: t.db, identity: t.identity, inserts: t.inserts, pooled: t.pooled, guard: t.guard, opening: t.opening, outer: t}
	t.opening.savepoints = append(t.opening.savepoints, openSavepoint{of: sp, ran: len(t.opening.ran)})
	return sp, nil
}

func (t *transaction) Commit(ctx context.Context) error {
	if t.pending != nil {
		err := t.endUnsent()
		t.committed(ctx, true, err)
		return err
	}
	wasOpen := t.isOpen()
	t.endOpeningIfUsed()
	t.addLook()
	err := scoped.WithCause(t.Tx.Conn(), t.Tx.Commit(ctx))
	t.endSavepoint(false, err)
	t.release()
	t.committed(ctx, wasOpen, err)
	return err
}

func (t *transaction) Rollback(ctx context.Context) error {
	if t.pending != nil {
		t.rolledBack()
		return t.endUnsent()
	}
	t.endOpeningIfUsed()
	t.addLook()
	err := t.Tx.Rollback(ctx)
	t.endSavepoint(true, err)
	t.release()
	t.rolledBack()
	return err
}

// addLook adds a look at the session to COMMIT or ROLLBACK. pgx runs a CommitQuery of the
// caller, and the statements of the query may begin another transaction.
func (t *transaction) addLook() {
	if _, own := t.Tx.(*serverTx); own && t.conn != nil && !t.Tx.Conn().PgConn().IsBusy() {
		backend.Of(t.Tx.Conn()).AppendCheck()
	}
}

func (t *transaction) release() {
	if t.conn != nil {
		t.lost, t.endCode = t.conn.Conn().IsClosed(), backend.Of(t.conn.Conn()).EndedBy()
		t.warnOfListenInTx(t.conn.Conn())
		t.conn.Release()
		t.conn = nil
		t.warnOfLockOfTx()
	}
}
