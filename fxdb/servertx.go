package fxdb

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/scoped"
)

// connTx sends the statements of a transaction or of a savepoint, and refuses statements
// after the end of either. The methods do as pgx's do.
type connTx struct {
	conn   *pgx.Conn
	closed bool
	outer  *serverTx // of a savepoint
}

func (tx *connTx) ended() error {
	if tx.closed || tx.outer != nil && tx.outer.closed {
		return pgx.ErrTxClosed
	}
	return nil
}

func (tx *connTx) Conn() *pgx.Conn { return tx.conn }

func (tx *connTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := tx.ended(); err != nil {
		return pgconn.CommandTag{}, err
	}
	return tx.conn.Exec(ctx, sql, args...)
}

func (tx *connTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := tx.ended(); err != nil {
		return scoped.FailedRows(err), err
	}
	return tx.conn.Query(ctx, sql, args...)
}

func (tx *connTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := tx.ended(); err != nil {
		return scoped.FailedRow(err)
	}
	return tx.conn.QueryRow(ctx, sql, args...)
}

func (tx *connTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := tx.ended(); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if begins(b) {
		return pgx.FailedBatchResults(b, errBatchBegins)
	}
	return tx.conn.SendBatch(ctx, b)
}

func (tx *connTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := tx.ended(); err != nil {
		return nil, err
	}
	return tx.conn.Prepare(ctx, name, sql)
}

func (tx *connTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	if err := tx.ended(); err != nil {
		return 0, err
	}
	return tx.conn.CopyFrom(ctx, table, columns, src)
}

// LargeObjects asks pgx for a transaction: only such a transaction has a pgx.LargeObjects.
// The empty statement in place of BEGIN takes a round trip.
func (tx *connTx) LargeObjects() pgx.LargeObjects {
	ctx, cancel := scoped.RollbackContext(context.Background())
	defer cancel()
	err := tx.ended()
	var pgxs pgx.Tx
	if err == nil {
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

// serverTx is the transaction of a connection whose BEGIN travelled with the first
// statement. pgx makes a pgx.Tx only with a BEGIN of its own.
type serverTx struct {
	connTx
	savepoints int64
}

func newServerTx(conn *pgx.Conn) *serverTx { return &serverTx{connTx: connTx{conn: conn}} }

func (tx *serverTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := tx.ended(); err != nil {
		return nil, err
	}
	tx.savepoints++
	sp := &savepoint{connTx: connTx{conn: tx.conn, outer: tx}, name: "sp_" + strconv.FormatInt(tx.savepoints, 10)}
	if _, err := tx.conn.Exec(ctx, "savepoint "+sp.name); err != nil {
		return nil, err
	}
	return sp, nil
}

func (tx *serverTx) Commit(ctx context.Context) error {
	if err := tx.ended(); err != nil {
		return err
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
	if err := tx.ended(); err != nil {
		return err
	}
	_, err := tx.conn.Exec(ctx, "rollback")
	tx.closed = true
	if err != nil {
		_ = tx.conn.Close(ctx) // the connection's next user must not find the transaction
	}
	return err
}

// savepoint is a transaction inside of a serverTx.
type savepoint struct {
	connTx
	name string
}

func (sp *savepoint) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := sp.ended(); err != nil {
		return nil, err
	}
	return sp.outer.Begin(ctx)
}

func (sp *savepoint) Commit(ctx context.Context) error {
	return sp.end(ctx, "release savepoint "+sp.name)
}

func (sp *savepoint) Rollback(ctx context.Context) error {
	return sp.end(ctx, "rollback to savepoint "+sp.name)
}

func (sp *savepoint) end(ctx context.Context, sql string) error {
	_, err := sp.Exec(ctx, sql)
	sp.closed = true
	return err
}
