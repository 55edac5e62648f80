package fxdb

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rows gives the connection back when it is closed, by its user or by itself at
// its end. batch is set where a scope stands before the statement.
type rows struct {
	pgx.Rows
	conn  *pgxpool.Conn
	batch pgx.BatchResults
	err   error // of the commit
}

func (r *rows) Close() {
	r.Rows.Close()
	if r.conn == nil {
		return
	}
	if r.batch != nil {
		r.err = r.batch.Close()
	}
	r.conn.Release()
	r.conn = nil
}

func (r *rows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

func (r *rows) Next() bool {
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

// row gives the connection back when it is scanned.
type row struct {
	row   pgx.Row
	conn  *pgxpool.Conn
	batch pgx.BatchResults
}

func (r *row) Scan(dest ...any) (err error) {
	defer r.conn.Release() // a custom Scan method may panic
	if r.batch == nil {
		return r.row.Scan(dest...)
	}
	defer func() {
		if closeErr := r.batch.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := r.batch.Exec(); err != nil {
		return err
	}
	return r.batch.QueryRow().Scan(dest...)
}

// errRow is the row of a statement that was not sent.
type errRow struct{ err error }

func (r errRow) Scan(...any) error { return r.err }

// errRows are the rows of a statement that was not sent.
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

// batchResults gives the connection back when it is closed; where the batch
// began a transaction, that does it at its own end. The scope's result is kept
// from its user.
type batchResults struct {
	pgx.BatchResults
	conn    *pgxpool.Conn
	tx      *transaction
	scopeAt int // how many results until the scope's; negative: none, or behind
}

// next is called before a result is read.
func (r *batchResults) next() error {
	r.scopeAt--
	if r.scopeAt != -1 {
		return nil
	}
	_, err := r.BatchResults.Exec()
	return err
}

func (r *batchResults) Exec() (pgconn.CommandTag, error) {
	if err := r.next(); err != nil {
		return pgconn.CommandTag{}, err
	}
	return r.BatchResults.Exec()
}

func (r *batchResults) Query() (pgx.Rows, error) {
	if err := r.next(); err != nil {
		return errRows{err}, err
	}
	return r.BatchResults.Query()
}

func (r *batchResults) QueryRow() pgx.Row {
	if err := r.next(); err != nil {
		return errRow{err}
	}
	return r.BatchResults.QueryRow()
}

func (r *batchResults) Tx() pgx.Tx {
	if r.tx == nil {
		return nil
	}
	return r.tx
}

func (r *batchResults) Close() error {
	err := r.BatchResults.Close()
	if r.tx == nil && r.conn != nil {
		r.conn.Release()
		r.conn = nil
	}
	return err
}
