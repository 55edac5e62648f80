package fxdb

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// serverTx is the transaction of a connection whose BEGIN travelled with the first
// statement. pgx makes a pgx.Tx only with a BEGIN of its own. The methods do as pgx's do.
type serverTx struct {
	conn       *pgx.Conn
	savepoints int64
	closed     bool
}

func (tx *serverTx) Conn() *pgx.Conn { return tx.conn }

func (tx *serverTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if tx.closed {
		return nil, pgx.ErrTxClosed
	}
	tx.savepoints++
	sp := &savepoint{serverTx: tx, name: "sp_" + strconv.FormatInt(tx.savepoints, 10)}
	if _, err := tx.conn.Exec(ctx, "savepoint "+sp.name); err != nil {
		return nil, err
	}
	return sp, nil
}

func (tx *serverTx) Commit(ctx context.Context) error {
	if tx.closed {
		return pgx.ErrTxClosed
	}
	tag, err := tx.conn.Exec(ctx, "commit")
	tx.closed = true
	switch {
	case err != nil:
		if tx.conn.PgConn().TxStatus() != 'I' {
			_ = tx.conn.Close(ctx) // the error of COMMIT is the reason
		}
		return err
	case tag.String() == "ROLLBACK":
		return pgx.ErrTxCommitRollback
	}
	return nil
}

func (tx *serverTx) Rollback(ctx context.Context) error {
	if tx.closed {
		return pgx.ErrTxClosed
	}
	_, err := tx.conn.Exec(ctx, "rollback")
	tx.closed = true
	if err != nil {
		_ = tx.conn.Close(ctx) // the connection's next user must not find the transaction
	}
	return err
}

func (tx *serverTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if tx.closed {
		return pgconn.CommandTag{}, pgx.ErrTxClosed
	}
	return tx.conn.Exec(ctx, sql, args...)
}

func (tx *serverTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if tx.closed {
		return errRows{pgx.ErrTxClosed}, pgx.ErrTxClosed
	}
	return tx.conn.Query(ctx, sql, args...)
}

func (tx *serverTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if tx.closed {
		return errRow{pgx.ErrTxClosed}
	}
	return tx.conn.QueryRow(ctx, sql, args...)
}

func (tx *serverTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	switch {
	case tx.closed:
		return pgx.FailedBatchResults(b, pgx.ErrTxClosed)
	case begins(b):
		return pgx.FailedBatchResults(b, errBatchBegins)
	}
	return tx.conn.SendBatch(ctx, b)
}

func (tx *serverTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if tx.closed {
		return nil, pgx.ErrTxClosed
	}
	return tx.conn.Prepare(ctx, name, sql)
}

func (tx *serverTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	if tx.closed {
		return 0, pgx.ErrTxClosed
	}
	return tx.conn.CopyFrom(ctx, table, columns, src)
}

// LargeObjects asks pgx for a transaction: only such a transaction has a pgx.LargeObjects.
// The empty statement in place of BEGIN takes a round trip.
func (tx *serverTx) LargeObjects() pgx.LargeObjects {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	err := pgx.ErrTxClosed
	var pgxs pgx.Tx
	if !tx.closed {
		pgxs, err = tx.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: ";"})
	}
	if err != nil {
		b := &pgx.Batch{}
		b.BeginTx(pgx.TxOptions{})
		pgxs = pgx.FailedBatchResults(b, err).Tx() // the transaction is closed
	}
	return pgxs.LargeObjects()
}

// errBatchBegins has pgx's words.
var errBatchBegins = errors.New("Batch.BeginTx cannot be used within a transaction")

// savepoint is a transaction inside of a serverTx.
type savepoint struct {
	*serverTx
	name  string
	ended bool
}

func (sp *savepoint) Begin(ctx context.Context) (pgx.Tx, error) {
	if sp.ended {
		return nil, pgx.ErrTxClosed
	}
	return sp.serverTx.Begin(ctx)
}

func (sp *savepoint) Commit(ctx context.Context) error {
	return sp.end(ctx, "release savepoint "+sp.name)
}

func (sp *savepoint) Rollback(ctx context.Context) error {
	return sp.end(ctx, "rollback to savepoint "+sp.name)
}

func (sp *savepoint) end(ctx context.Context, sql string) error {
	if sp.ended {
		return pgx.ErrTxClosed
	}
	_, err := sp.serverTx.Exec(ctx, sql)
	sp.ended = true
	return err
}

func (sp *savepoint) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if sp.ended {
		return pgconn.CommandTag{}, pgx.ErrTxClosed
	}
	return sp.serverTx.Exec(ctx, sql, args...)
}

func (sp *savepoint) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if sp.ended {
		return errRows{pgx.ErrTxClosed}, pgx.ErrTxClosed
	}
	return sp.serverTx.Query(ctx, sql, args...)
}

func (sp *savepoint) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if sp.ended {
		return errRow{pgx.ErrTxClosed}
	}
	return sp.serverTx.QueryRow(ctx, sql, args...)
}

func (sp *savepoint) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if sp.ended {
		return pgx.FailedBatchResults(b, pgx.ErrTxClosed)
	}
	return sp.serverTx.SendBatch(ctx, b)
}

func (sp *savepoint) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if sp.ended {
		return nil, pgx.ErrTxClosed
	}
	return sp.serverTx.Prepare(ctx, name, sql)
}

func (sp *savepoint) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	if sp.ended {
		return 0, pgx.ErrTxClosed
	}
	return sp.serverTx.CopyFrom(ctx, table, columns, src)
}
