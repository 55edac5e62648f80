package fxdb

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
)

// rows releases the connection on Close. The caller closes rows, or rows closes itself at
// the end.
type rows struct {
	pgx.Rows
	conn    *pgxpool.Conn
	flight  scoped.Flight    // of a statement with a scope
	err     error            // of the statement, or of the commit
	ahead   scoped.Lookahead // of an idempotent statement
	reading bool             // the caller reads
}

func (r *rows) Close() {
	r.Rows.Close()
	if r.conn == nil {
		return
	}
	defer func() { // a tracer may panic
		r.conn.Release()
		r.conn = nil
	}()
	if r.flight.Sent() {
		r.err = r.flight.End(r.CommandTag(), r.Rows.Err())
	} else {
		r.err = scoped.Ended(r.conn.Conn(), r.Rows.Err())
	}
}

// Conn returns the connection of the rows.
func (r *rows) Conn() *pgx.Conn {
	if conn := r.flight.Conn(); conn != nil {
		return conn
	}
	return r.Rows.Conn()
}

func (r *rows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}

func (r *rows) Next() bool {
	if !r.reading && r.conn != nil {
		r.reading = true
		backend.Of(r.conn.Conn()).Reads()
	}
	if has, ok := r.ahead.Take(); ok {
		return has
	}
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *rows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *rows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// row releases the connection in Scan.
type row struct {
	db   *DB
	ctx  context.Context
	sql  string
	args []any

	conn    *pgxpool.Conn
	bare    pgx.Row    // of a statement without a scope; nil if a flight carries a scope
	inScope *scopedRow // nil without a scope
}

// scopedRow is a row with the fields that only a scope needs, the larger part.
type scopedRow struct {
	row
	scope  scoped.Scope
	flight scoped.Flight
	err    error // of send
}

func (db *DB) newRow(ctx context.Context, s *scoped.Scope, sql string, args []any) *row {
	if s.IsZero() {
		return &row{db: db, ctx: ctx, sql: sql, args: args}
	}
	r := new(scopedRow) // no literal: the compiler would build a literal twice
	r.db, r.ctx, r.sql, r.args, r.inScope = db, ctx, sql, args, r
	r.scope, r.flight.Last = *s, true
	return &r.row
}

// send acquires a connection and sends the statement. Only the acquire can fail here.
func (r *row) send(within time.Duration) (err error) {
	var tenant string
	if r.inScope != nil {
		tenant = r.inScope.scope.Identity.Tenant
	}
	if r.conn, err = r.db.acquire(r.ctx, tenant, forCall, within); err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // a parameter, a rewriter or a tracer panics
			r.conn.Release()
		}
	}()
	if r.inScope == nil {
		scoped.CancelAtDeadline(r.ctx, r.conn.Conn())
		r.bare = r.conn.QueryRow(r.ctx, r.sql, r.args...)
	} else {
		r.inScope.send()
	}
	sent = true
	return nil
}

// send sends the statement on the acquired connection.
func (r *scopedRow) send() {
	var s *scoped.Scope
	r.bare = nil
	s, r.err = r.db.scopeOn(r.ctx, r.conn.Conn(), &r.scope, r.sql, r.args)
	if r.err != nil {
		return
	}
	if s.IsZero() {
		scoped.CancelAtDeadline(r.ctx, r.conn.Conn())
		r.bare = r.conn.QueryRow(r.ctx, r.sql, r.args...)
		return
	}
	r.err = r.flight.Send(r.ctx, &r.db.core.engine, r.conn.Conn(), s, r.sql, r.args)
}

// scan reads the answer to the statement.
func (r *scopedRow) scan(dest []any) error {
	if r.err != nil {
		return r.err
	}
	err := r.flight.Scan(dest)
	if r.flight.Several(err) { // nothing ran
		err = r.db.runSeveral(r.ctx, r.conn.Conn(), r.scope, func(tx pgx.Tx) error {
			return tx.QueryRow(r.ctx, r.sql, r.args...).Scan(dest...)
		})
	}
	return err
}

var errScanned = errors.New("the row was scanned before: call Scan once")

func (r *row) Scan(dest ...any) error {
	if r.conn == nil {
		return errScanned
	}
	retry, err := r.scan(dest)
	if !retry {
		return err
	}
	return r.db.resend(r.ctx, err, func(within time.Duration) (bool, error) {
		if err := r.send(within); err != nil {
			return false, err
		}
		return r.scan(dest)
	})
}

func (r *row) scan(dest []any) (retry bool, err error) {
	defer func() { // a custom Scan method may panic
		r.conn.Release()
		r.conn = nil
	}()
	if r.bare != nil {
		err = scoped.Ended(r.conn.Conn(), r.bare.Scan(dest...))
	} else {
		err = r.inScope.scan(dest)
	}
	r.db.warnOfLeftover(r.conn.Conn())
	if err != nil {
		return r.db.mayResendStatement(r.ctx, r.conn.Conn(), err, r.sql), err
	}
	return false, nil
}
