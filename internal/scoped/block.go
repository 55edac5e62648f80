package scoped

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/sqllex"
)

// needsBegin reports whether a text could commit inside itself, as CALL and DO can, and
// go on without its scope. In a transaction block the server refuses the COMMIT (2D000). A
// text that is not plain may contain CALL or DO in another form. Effects.Alone marks texts
// that the server refuses in a block, and that can't contain a COMMIT.
func needsBegin(conn *pgx.Conn, v sqllex.Effects) bool {
	return !v.Alone && (!v.Plain() || !ReadAsClassified(conn))
}

// rollbackTimeout bounds a rollback whose caller's context has ended.
const rollbackTimeout = 5 * time.Second

// RollbackContext returns the context of a rollback, which works after the end of ctx too.
func RollbackContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
}

// block is a transaction block in a flight: BEGIN before the scope and, if commits is set,
// COMMIT after the last statement. The zero block is none.
type block struct {
	sql     string // of BEGIN
	commits bool
}

// implicitBlock is the block that onepool adds to a flight: the text could commit inside itself.
var implicitBlock = block{sql: "begin", commits: true}

func (b block) begin(batch *pgconn.Batch) {
	if b.sql != "" {
		batch.ExecParams(b.sql, nil, nil, nil, nil)
	}
}

func (b block) commit(batch *pgconn.Batch) {
	if b.commits {
		batch.ExecParams("commit", nil, nil, nil, nil)
	}
}

// end ends a block with a COMMIT of its own: after an error, which has left the block open, end
// rolls back. end closes the connection if the rollback fails.
func (b block) end(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := RollbackContext(ctx)
	defer cancel()
	if _, err := conn.PgConn().Exec(ctx, "rollback").ReadAll(); err != nil {
		_ = conn.Close(ctx) // the statement's error is the reason
	}
}
