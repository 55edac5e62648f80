package fxdb

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// batchResults releases the connection on Close. If the batch began a transaction, the end
// of the transaction releases the connection. batchResults hides the scope's result from
// the caller.
type batchResults struct {
	pgx.BatchResults
	conn    *pgxpool.Conn
	tx      *transaction
	scopeAt int // how many results until the scope's; negative: none, or behind
}

func (db *DB) batchResults(conn *pgxpool.Conn, s scoped.Scope, br pgx.BatchResults, scopeAt int) *batchResults {
	r := &batchResults{BatchResults: br, conn: conn, scopeAt: scopeAt}
	if tx := br.Tx(); tx != nil {
		r.tx = db.transaction(conn, s, tx)
	}
	return r
}

// next reads the scope's result, if the scope's result comes next.
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
		return scoped.FailedRows(err), err
	}
	return r.BatchResults.Query()
}

func (r *batchResults) QueryRow() pgx.Row {
	if err := r.next(); err != nil {
		return scoped.FailedRow(err)
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
	defer func() { // a callback may panic
		if r.tx == nil && r.conn != nil {
			r.conn.Release()
			r.conn = nil
		}
	}()
	return r.BatchResults.Close()
}
