package fxdb

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/sqllex"
)

// needsBegin reports whether a text could commit inside itself, as CALL and DO can, and
// go on without its scope. In a transaction block the server refuses the COMMIT (2D000). A
// text that is not plain may contain CALL or DO in another form. Verdict.Alone marks texts
// that the server refuses in a block, and that can't contain a COMMIT.
func needsBegin(conn *pgx.Conn, v sqllex.Verdict) bool {
	return !v.Alone && (!v.Plain() || !isReadAsJudged(conn))
}

// block is a transaction block in a flight: BEGIN in front of the scope,
// and COMMIT behind the last statement.
type block bool

func (b block) begin(batch *pgconn.Batch) {
	if b {
		batch.ExecParams("begin", nil, nil, nil, nil)
	}
}

func (b block) commit(batch *pgconn.Batch) {
	if b {
		batch.ExecParams("commit", nil, nil, nil, nil)
	}
}

// begun reads the result of BEGIN. An error of the scope may follow.
func (b block) begun(results *pgconn.MultiResultReader) error {
	if !bool(b) || !results.NextResult() {
		return nil
	}
	_, err := results.ResultReader().Close()
	return err
}

// end rolls back after an error, because the error has left the block open. end closes the
// connection if the rollback fails.
func (b block) end(ctx context.Context, conn *pgx.Conn) {
	if !bool(b) || conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := conn.PgConn().Exec(ctx, "rollback").ReadAll(); err != nil {
		_ = conn.Close(ctx) // the statement's error is the reason
	}
}
