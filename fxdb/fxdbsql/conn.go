package fxdbsql

import (
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqldoor"
)

// conn is a connection for database/sql. database/sql uses conn from a single goroutine at a
// time.
type conn struct {
	session sqldoor.Session
	tx      pgx.Tx // the open transaction
}

var (
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
)

// Errors go to database/sql unchanged, never as driver.ErrBadConn: database/sql would retry,
// and then return only driver.ErrBadConn.

func (c *conn) ExecContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Result, error) {
	exec := c.session.Exec
	if c.tx != nil {
		exec = c.tx.Exec
	}
	tag, err := exec(ctx, query, values(named)...)
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

func (c *conn) QueryContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Rows, error) {
	send := c.session.Query
	if c.tx != nil {
		send = c.tx.Query
	}
	r, err := send(ctx, query, values(named, formats)...)
	if err != nil {
		return nil, err
	}
	return newRows(r), nil
}

func (c *conn) Ping(ctx context.Context) error { return c.session.Ping(ctx) }

// PrepareContext sends nothing: pgx prepares and keeps a statement on each connection at the
// statement's first use.
func (c *conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return stmt{c, query}, nil
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// CheckNamedValue leaves every argument to pgx: pgx knows more types than database/sql.
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// IsValid makes database/sql close the connection after each use.
func (c *conn) IsValid() bool { return false }

func (c *conn) Close() error {
	c.session.Release()
	return nil
}

// values returns the arguments in pgx's form, after pgx's options.
func values(named []driver.NamedValue, options ...any) []any {
	args := append(make([]any, 0, len(options)+len(named)), options...)
	for _, v := range named {
		args = append(args, v.Value)
	}
	return args
}
