package fxdb

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// The server takes a text of several statements only as a simple query, and a simple query
// carries no scope. severalTx is the transaction of such a text: the scope follows BEGIN.
type severalTx struct{ *transaction }

func (db *DB) beginSeveral(ctx context.Context, conn *pgx.Conn, s scoped.Scope) (severalTx, error) {
	opts := pgx.TxOptions{}
	tx, err := db.begin(ctx, conn, s, opts)
	if err != nil {
		return severalTx{}, err
	}
	return severalTx{db.newBegun(nil, s, tx, opts)}, nil
}

// end commits the transaction if the server ran the text to its end, and returns err or the
// error of the commit. An error on the side of the client, such as pgx.ErrNoRows, undoes
// nothing, as with a plain connection.
func (tx severalTx) end(ctx context.Context, err error) error {
	conn := tx.Tx.Conn()
	if !conn.IsClosed() && conn.PgConn().TxStatus() == 'T' {
		if failed := tx.Commit(ctx); failed != nil {
			return failed
		}
		return err
	}
	_ = rollback(ctx, tx) // the first error is the reason
	return err
}

// runSeveral runs a text of several statements by run.
func (db *DB) runSeveral(ctx context.Context, conn *pgx.Conn, s scoped.Scope, run func(tx pgx.Tx) error) error {
	tx, err := db.beginSeveral(ctx, conn, s)
	if err != nil {
		return err
	}
	return tx.end(ctx, run(tx))
}

// querySeveral returns the rows of the first statement, as pgx does. Close of the rows runs the
// remaining statements and commits.
func (db *DB) querySeveral(ctx context.Context, conn *pgx.Conn, s scoped.Scope, sql string, args []any) (pgx.Rows, error) {
	tx, err := db.beginSeveral(ctx, conn, s)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, tx.end(ctx, err)
	}
	return &severalRows{Rows: rows, tx: tx, ctx: ctx}, nil
}

type severalRows struct {
	pgx.Rows
	tx    severalTx
	ctx   context.Context
	err   error // of the text or of the commit
	ended bool
}

func (r *severalRows) Close() {
	r.Rows.Close()
	if !r.ended {
		r.ended = true
		r.err = r.tx.end(r.ctx, r.Rows.Err())
	}
}

func (r *severalRows) Err() error {
	if r.ended {
		return r.err
	}
	return r.Rows.Err()
}

// hasSeveral reports whether pgx may send a member of b that is not one statement. Only the
// simple protocol takes several statements in a member.
func (db *DB) hasSeveral(b *pgx.Batch) bool {
	if db.core.engine.Mode != pgx.QueryExecModeSimpleProtocol {
		return false
	}
	for _, q := range b.QueuedQueries {
		switch r := rewritingOf(q.Arguments); r {
		case asItIs, byNames:
			if scoped.EffectsOf(q.SQL, r == byNames).Statements != 1 {
				return true
			}
		default: // the text is not known yet
			return true
		}
	}
	return false
}

// sendSeveral sends a batch of the simple protocol in a transaction with the scope. Close of the
// results commits and releases the connection.
func (db *DB) sendSeveral(ctx context.Context, conn *pgxpool.Conn, s scoped.Scope, b *pgx.Batch) pgx.BatchResults {
	tx, err := db.beginSeveral(ctx, conn.Conn(), s)
	if err != nil {
		conn.Release()
		return pgx.FailedBatchResults(b, err)
	}
	return &severalResults{BatchResults: tx.SendBatch(ctx, b), tx: tx, ctx: ctx, conn: conn}
}

type severalResults struct {
	pgx.BatchResults
	tx   severalTx
	ctx  context.Context
	conn *pgxpool.Conn // nil after the release
	err  error
}

func (r *severalResults) Close() error {
	if r.conn == nil {
		return r.err
	}
	defer func() { // a callback may panic
		r.conn.Release()
		r.conn = nil
	}()
	r.err = r.tx.end(r.ctx, r.BatchResults.Close())
	return r.err
}
