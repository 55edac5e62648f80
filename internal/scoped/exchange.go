package scoped

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
)

// exchange is one write and its answers: a scope, and then the statements, in one implicit
// transaction. open begins every exchange, and finish ends every exchange: the caller sees the
// same error from a statement, a batch and a copy.
type exchange struct {
	ctx     context.Context // from the tracers
	conn    *pgx.Conn
	st      *statements
	used    []use // prepared for the exchange
	block   block
	results *pgconn.MultiResultReader
	sent    bool // the write was begun
	ends    bool // the holder gives the connection back after the exchange
	looks   bool // see Engine
	// deadline is the caller's, if the server has the deadline too.
	deadline time.Time
}

// open takes the deadline that the exchange carries to the server; zero: none.
func (x *exchange) open(ctx context.Context, e *Engine, conn *pgx.Conn, deadline time.Time) {
	x.ctx, x.conn, x.st = ctx, conn, statementsOf(conn, e.Capacity)
	x.used, x.results, x.sent, x.looks, x.deadline = nil, nil, false, e.Looks, time.Time{}
	if conn.PgConn().IsBusy() { // the deadline of the unread statement counts
		return
	}
	if x.deadline = deadline; !deadline.IsZero() {
		serverHas(conn, true)
	}
}

func (x *exchange) write(b *pgconn.Batch) {
	x.sent = true
	if x.looks {
		x.addLook()
	}
	x.results = x.conn.PgConn().ExecBatch(x.ctx, b)
}

// addLook adds a look at the session to the last exchange of a holder. The exchange of a block
// can leave the block open.
func (x *exchange) addLook() {
	if x.ends && x.block.sql == "" && x.conn.PgConn().TxStatus() == 'I' {
		backend.Of(x.conn).AppendCheck()
	}
}

// skip reads a result that is not the caller's.
func (x *exchange) skip() error {
	if !x.results.NextResult() {
		return x.results.Close()
	}
	_, err := x.results.ResultReader().Close()
	return err
}

// errorOf returns the error that the caller sees for err: marked as a passed deadline, or as a
// connection that broke after the statement was sent.
func (x *exchange) errorOf(err error) error {
	err = atDeadline(x.deadline, err)
	if x.sent {
		err = LostAfter(x.conn, err)
	}
	return err
}

// finish waits for the commit, and returns err or the commit's error: a failed commit fails
// the statement.
func (x *exchange) finish(err error) error {
	if x.results != nil {
		if closeErr := x.results.Close(); closeErr != nil && (err == nil || errors.Is(err, pgx.ErrNoRows)) {
			err = closeErr
		}
		if x.block.commits {
			x.block.end(x.ctx, x.conn)
		}
	}
	if !x.deadline.IsZero() {
		serverHas(x.conn, false)
	}
	if err != nil {
		x.st.failed(err, x.used)
		err = x.errorOf(err)
	}
	return err
}
