package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

// pendingBegin is a BEGIN that waits for the first statement of its transaction.
type pendingBegin struct {
	scope scoped.Scope
	opts  pgx.TxOptions
}

// delays reports whether BEGIN may wait for the first statement. A BeginQuery may be several
// statements, and the simple protocol sends no flights.
func (db *DB) delays(opts pgx.TxOptions) bool {
	return opts.BeginQuery == "" && opts.CommitQuery == "" && db.core.engine.Mode != pgx.QueryExecModeSimpleProtocol
}

// newUnsent returns a transaction that the server does not have yet.
func (db *DB) newUnsent(conn *pgxpool.Conn, s scoped.Scope, opts pgx.TxOptions) *transaction {
	t := db.newBegun(conn, s, newServerTx(conn.Conn()), opts)
	t.pending, t.opening.over = &pendingBegin{s, opts}, s.IsZero()
	return t
}

// beginText returns the text of BEGIN.
func beginText(opts pgx.TxOptions) string {
	if opts == (pgx.TxOptions{}) {
		return "begin"
	}
	b := &pgx.Batch{}
	b.BeginTx(opts)
	return b.QueuedQueries[0].SQL
}

// startUnlessJoined sends a pending BEGIN, unless the statement may join BEGIN in one flight:
// then the caller sends the two.
func (t *transaction) startUnlessJoined(ctx context.Context, sql string, args []any) (joins bool, err error) {
	if t.pending == nil {
		return false, nil
	}
	if t.mayJoin(sql, args) {
		t.opening.followFirst(sql, args)
		return true, nil
	}
	return false, t.start(ctx)
}

// mayJoin reports whether a statement means the same after BEGIN in one flight: one
// statement, which neither ends the transaction nor must come before the scope.
func (t *transaction) mayJoin(sql string, args []any) bool {
	if mustFollowBegin(sql) || beginsWith(sql, "copy") {
		return false
	}
	for _, arg := range args {
		if mode, ok := arg.(pgx.QueryExecMode); ok && mode == pgx.QueryExecModeSimpleProtocol {
			return false
		}
	}
	v := scoped.EffectsOf(sql, rewritingOf(args) == byNames)
	return v.Statements == 1 && !v.EndsScope && !v.Broken && v.Taint&(sqllex.Unreadable|sqllex.Ambiguous) == 0
}

// start sends BEGIN and the scope, if BEGIN is pending.
func (t *transaction) start(ctx context.Context) error {
	p := t.pending
	if p == nil {
		return nil
	}
	err := t.attempts(ctx, p, func() error {
		tx, err := t.db.begin(ctx, t.conn.Conn(), p.scope, p.opts)
		if err == nil {
			t.Tx = tx
			t.opening.over = t.opening.over || p.scope.IsConstant()
		}
		return err
	})
	t.mark()
	return t.settle(p, true, err)
}

// startNow sends a pending BEGIN for a caller that has neither a context nor an error to return. After
// an error the connection is closed: no statement may run outside of the transaction.
func (t *transaction) startNow() {
	if t.pending == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.db.core.cfg.ConnectionTimeout)
	defer cancel()
	if err := t.start(ctx); err != nil {
		_ = t.Tx.Conn().Close(ctx) // the statements on the connection return an error
	}
}

// attempts runs send, and runs send again on another connection if the connection was
// lost: the server has committed nothing of the transaction. A transaction that InTx runs
// again as a whole is left to InTx. A transaction that has ended holds no connection: a row
// that is scanned late is not asked for again.
func (t *transaction) attempts(ctx context.Context, p *pendingBegin, send func() error) error {
	err := send()
	if t.conn == nil || t.retryable || !mayResend(ctx, t.conn.Conn(), err, true) {
		return err
	}
	return t.db.resend(ctx, err, func(within time.Duration) (bool, error) {
		t.release()
		conn, err := t.db.acquire(ctx, p.scope.Identity.Tenant, forTransaction, within)
		if err != nil {
			return false, err
		}
		t.conn, t.Tx = conn, newServerTx(conn.Conn())
		err = send()
		return mayResend(ctx, conn.Conn(), err, true), err
	})
}

// settle decides after an attempt with the result err if BEGIN is still pending: began
// reports whether BEGIN was sent. If the server has no transaction, the transaction is
// closed.
func (t *transaction) settle(p *pendingBegin, began bool, err error) error {
	conn := t.Tx.Conn()
	if !began && !conn.IsClosed() {
		t.pending = p
		return err
	}
	t.pending = nil
	if tx, ok := t.Tx.(*serverTx); ok {
		tx.closed = conn.IsClosed() || conn.PgConn().TxStatus() == 'I'
	}
	return err
}

// endUnsent ends a transaction that the server never had.
func (t *transaction) endUnsent() error {
	t.pending = nil
	t.Tx.(*serverTx).closed = true
	t.release()
	return nil
}

// send sends BEGIN, the scope and the statement.
func (t *transaction) send(ctx context.Context, p *pendingBegin, f *scoped.Flight, sql string, args []any) error {
	begin := beginText(p.opts)
	*f = scoped.Flight{Exec: f.Exec, Limit: t.statementDeadline(ctx, sql, args)}
	f.BeginWith(begin, t.db.core.traced.begin(ctx, t.conn.Conn(), begin))
	return f.Send(ctx, &t.db.core.engine, t.conn.Conn(), &p.scope, sql, args)
}

func (t *transaction) execFirst(ctx context.Context, sql string, args []any) (tag pgconn.CommandTag, err error) {
	p, f := t.pending, scoped.Flight{Exec: true}
	err = t.attempts(ctx, p, func() (err error) {
		if err = t.send(ctx, p, &f, sql, args); err == nil {
			tag, err = f.Run()
		}
		return err
	})
	return tag, t.settle(p, f.Began(), err)
}

func (t *transaction) queryFirst(ctx context.Context, sql string, args []any) (pgx.Rows, error) {
	p, r := t.pending, &scoped.Rows{}
	err := t.attempts(ctx, p, func() (err error) {
		if err = t.send(ctx, p, &r.Flight, sql, args); err == nil {
			r.Rows, err = r.Flight.Query()
		}
		return err
	})
	if err == nil {
		t.pending = nil
		return r, nil
	}
	err, ran := scoped.RanWith(t.settle(p, r.Flight.Began(), err))
	if ran {
		return scoped.FailedRows(err), nil
	}
	return scoped.FailedRows(err), err
}

func (t *transaction) queryRowFirst(ctx context.Context, sql string, args []any) pgx.Row {
	r := &firstRow{tx: t, pending: t.pending, ctx: ctx, sql: sql, args: args}
	if err := t.attempts(ctx, r.pending, r.send); err != nil {
		return scoped.FailedRow(t.settle(r.pending, r.flight.Began(), err))
	}
	t.pending = nil
	return r
}

// firstRow is the row of the first statement, which travels with BEGIN.
type firstRow struct {
	tx      *transaction
	pending *pendingBegin
	ctx     context.Context
	sql     string
	args    []any
	flight  scoped.Flight
	read    bool
}

func (r *firstRow) send() error { return r.tx.send(r.ctx, r.pending, &r.flight, r.sql, r.args) }

// Scan reads the answers to BEGIN and to the statement.
func (r *firstRow) Scan(dest ...any) error {
	if r.read {
		return errScanned
	}
	err := r.tx.attempts(r.ctx, r.pending, func() error {
		if r.read {
			if err := r.send(); err != nil {
				return err
			}
		}
		r.read = true
		return r.flight.Scan(dest)
	})
	return r.tx.settle(r.pending, true, err)
}
