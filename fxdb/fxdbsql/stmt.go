package fxdbsql

import (
	"context"
	"database/sql/driver"
	"errors"
)

// stmt is the text of a statement. Each use has the scope of the use's context.
type stmt struct {
	conn  *conn
	query string
}

var (
	_ driver.StmtExecContext  = stmt{}
	_ driver.StmtQueryContext = stmt{}
)

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

// NumInput leaves the count to the server.
func (s stmt) NumInput() int { return -1 }

func (s stmt) Close() error { return nil }

var errNoContext = errors.New("fxdbsql: a statement without a context could belong to any tenant: use ExecContext or QueryContext")

func (s stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }
func (s stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNoContext }
