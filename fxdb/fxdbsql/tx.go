package fxdbsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/scoped"
)

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.tx != nil {
		return nil, errors.New("fxdbsql: the connection has a transaction already: end the transaction first")
	}
	o, err := txOptions(opts)
	if err != nil {
		return nil, err
	}
	tx, err := c.session.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.tx = tx
	return transaction{ctx, c, tx}, nil
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// transaction has database/sql's methods without a context.
type transaction struct {
	ctx  context.Context // the context of the begin
	conn *conn
	tx   pgx.Tx
}

func (t transaction) Commit() error {
	t.conn.tx = nil
	return t.tx.Commit(t.ctx)
}

func (t transaction) Rollback() error {
	t.conn.tx = nil
	ctx, cancel := scoped.RollbackContext(t.ctx)
	defer cancel()
	return t.tx.Rollback(ctx)
}

var isolation = map[sql.IsolationLevel]pgx.TxIsoLevel{
	sql.LevelDefault:         "",
	sql.LevelReadUncommitted: pgx.ReadUncommitted,
	sql.LevelReadCommitted:   pgx.ReadCommitted,
	sql.LevelRepeatableRead:  pgx.RepeatableRead,
	sql.LevelSnapshot:        pgx.RepeatableRead, // PostgreSQL's repeatable read is a snapshot
	sql.LevelSerializable:    pgx.Serializable,
}

func txOptions(opts driver.TxOptions) (o pgx.TxOptions, err error) {
	level, ok := isolation[sql.IsolationLevel(opts.Isolation)]
	if !ok {
		return o, fmt.Errorf("fxdbsql: PostgreSQL has no isolation level %v", sql.IsolationLevel(opts.Isolation))
	}
	o.IsoLevel = level
	if opts.ReadOnly {
		o.AccessMode = pgx.ReadOnly
	}
	return o, nil
}
