package fxdb

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
)

// rows releases the connection on Close. The caller closes rows, or rows closes itself at
// the end.
type rows struct {
	pgx.Rows
	conn       *pgxpool.Conn
	flight     flight // of a statement with a scope
	err        error  // of the statement, or of the commit
	ahead, has bool   // the next row was requested, and exists
	reading    bool   // the caller reads
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
	if r.flight.results != nil {
		r.err = r.flight.end(r.CommandTag(), r.Rows.Err())
	} else {
		r.err = withCause(r.conn.Conn(), r.Rows.Err())
	}
}

// Conn is the connection of the rows.
func (r *rows) Conn() *pgx.Conn {
	if r.flight.conn != nil {
		return r.flight.conn
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
	if r.ahead {
		r.ahead = false
		return r.has
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

	conn   *pgxpool.Conn
	row    pgx.Row    // nil with a scope
	scoped *scopedRow // nil without a scope
}

// scopedRow is a row with the fields that only a scope needs, the larger part.
type scopedRow struct {
	row
	scope  scope
	flight flight
	err    error // of send
}

func (db *DB) newRow(ctx context.Context, s scope, sql string, args []any) *row {
	if s.isZero() {
		return &row{db: db, ctx: ctx, sql: sql, args: args}
	}
	r := &scopedRow{scope: s}
	r.row = row{db: db, ctx: ctx, sql: sql, args: args, scoped: r}
	return &r.row
}

// send acquires a connection and sends the statement. Only the acquire can fail here.
func (r *row) send(within time.Duration) (err error) {
	var s scope
	if r.scoped != nil {
		s = r.scoped.scope
	}
	r.db.warnOfLock(r.sql)
	if r.conn, err = r.db.acquire(r.ctx, s, forCall, within); err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // a parameter, a rewriter or a tracer panics
			r.conn.Release()
		}
	}()
	if r.scoped == nil {
		r.row = r.conn.QueryRow(r.ctx, r.sql, r.args...)
		sent = true
		return nil
	}
	r.scoped.err = r.scoped.flight.send(r.ctx, r.db, r.conn.Conn(), s, r.db.core.mode, r.sql, r.args)
	sent = true
	return nil
}

var errScanned = errors.New("the row was scanned before: call Scan once")

func (r *row) Scan(dest ...any) error {
	if r.conn == nil {
		return errScanned
	}
	again, err := r.scan(dest)
	if !again {
		return err
	}
	return r.db.resend(r.ctx, err, func(within time.Duration) (bool, error) {
		if err := r.send(within); err != nil {
			return false, err
		}
		return r.scan(dest)
	})
}

func (r *row) scan(dest []any) (again bool, err error) {
	defer func() { // a custom Scan method may panic
		r.conn.Release()
		r.conn = nil
	}()
	if r.scoped == nil {
		err = withCause(r.conn.Conn(), r.row.Scan(dest...))
	} else {
		if err = r.scoped.err; err == nil {
			err = r.scoped.flight.scan(dest)
		}
	}
	if err != nil {
		return r.db.mayResendStatement(r.ctx, r.conn.Conn(), err, r.sql), err
	}
	return false, nil
}

// scan reads the first row, and ends the flight.
func (f *flight) scan(dest []any) error {
	if len(dest) == 1 {
		if _, ok := dest[0].(pgx.RowScanner); ok { // a RowScanner needs rows
			rows, err := f.query()
			if err != nil {
				err, _ = ranWith(err)
				return err
			}
			ended := false
			defer func() {
				if !ended { // a panic
					_ = f.end(rows.CommandTag(), nil)
				}
			}()
			err = scanOne(rows, dest)
			ended = true
			return f.end(rows.CommandTag(), err)
		}
	}
	result, err := f.receive()
	if err != nil {
		return f.end(pgconn.CommandTag{}, err)
	}
	ended := false
	defer func() {
		if !ended { // a panic
			_ = f.end(pgconn.CommandTag{}, nil)
		}
	}()
	tag, err := scanResult(f.conn.TypeMap(), result, dest)
	ended = true
	return f.end(tag, err)
}

// scanResult reads the first row as pgx.Conn.QueryRow does, without the allocation of
// Rows. result is nil for an empty statement.
func scanResult(types *pgtype.Map, result *pgconn.ResultReader, dest []any) (tag pgconn.CommandTag, err error) {
	if result == nil {
		return tag, pgx.ErrNoRows
	}
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			err = errDriverBytes
		}
	}
	if err == nil {
		if result.NextRow() {
			err = pgx.ScanRow(types, result.FieldDescriptions(), result.Values(), dest...)
		} else {
			err = pgx.ErrNoRows
		}
	}
	// The server's error comes first, because the error may follow a row.
	tag, closeErr := result.Close()
	if closeErr != nil && (err == nil || errors.Is(err, pgx.ErrNoRows)) {
		err = closeErr
	}
	return tag, err
}

var errDriverBytes = errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")

// scanOne reads the first row as pgx.Conn.QueryRow does.
func scanOne(rows pgx.Rows, dest []any) error {
	defer rows.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errDriverBytes
		}
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// errRow is the row of an unsent statement.
type errRow struct{ err error }

func (r errRow) Scan(...any) error { return r.err }

// errRows are the rows of an unsent statement.
type errRows struct{ err error }

func (r errRows) Close()                                       {}
func (r errRows) Err() error                                   { return r.err }
func (r errRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (r errRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r errRows) Next() bool                                   { return false }
func (r errRows) Scan(...any) error                            { return r.err }
func (r errRows) Values() ([]any, error)                       { return nil, r.err }
func (r errRows) RawValues() [][]byte                          { return nil }
func (r errRows) Conn() *pgx.Conn                              { return nil }
func (r errRows) TypeMap() *pgtype.Map                         { return nil }
