package fxdb

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// batchResults releases the connection on Close. If the batch began a transaction, the end
// of the transaction releases the connection. batchResults hides the results of the scope from
// the caller.
type batchResults struct {
	pgx.BatchResults
	conn   *pgxpool.Conn
	tx     *transaction
	hidden []int // results of the scope, by their number
	read   int
}

func (db *DB) batchResults(conn *pgxpool.Conn, s scoped.Scope, br pgx.BatchResults, hidden []int) *batchResults {
	r := &batchResults{BatchResults: br, conn: conn, hidden: hidden}
	if tx := br.Tx(); tx != nil {
		r.tx = db.transaction(conn, s, tx)
	}
	return r
}

// next reads the results of the scope that come before the caller's next result.
func (r *batchResults) next() error {
	for ; len(r.hidden) > 0 && r.hidden[0] == r.read; r.read++ {
		r.hidden = r.hidden[1:]
		if _, err := r.BatchResults.Exec(); err != nil {
			return err
		}
	}
	r.read++
	return nil
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
