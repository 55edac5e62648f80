package fxdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// flight is a scope and one statement in one write, and in one implicit transaction that
// the server commits at the end (PostgreSQL's documentation, 55.2.4 "Pipelining"). flight
// works below pgx.Conn: pgx.Conn can send two statements only as a Batch, at three times
// the allocations.
type flight struct {
	exchange
	tracer pgx.QueryTracer
	keys   [4]statementKey // used begins in keys
	limit  scope           // if not zero, carries the deadline of a statement in a transaction
	exec   bool            // the statement's rows are not wanted
	simple bool            // pgx would send the statement as a simple query
	scoped bool            // a scope stands before the statement
	began  bool            // the BEGIN of block was sent
	begun  func(error)     // if not nil, ends the trace of BEGIN
}

// query is a statement as pgx.Conn.Query takes statements, after the options were read.
type query struct {
	sql          string
	args         []any
	mode         pgx.QueryExecMode
	own          *pgconn.StatementDescription // the caller's statement, prepared by name
	formats      pgx.QueryResultFormats
	formatsByOID pgx.QueryResultFormatsByOID
}

func readQuery(ctx context.Context, conn *pgx.Conn, mode pgx.QueryExecMode, sql string, args []any) (query, error) {
	q := query{sql: sql, args: args, mode: mode}
	var rewriter pgx.QueryRewriter
	for len(q.args) > 0 {
		switch option := q.args[0].(type) {
		case pgx.QueryResultFormats:
			q.formats = option
		case pgx.QueryResultFormatsByOID:
			q.formatsByOID = option
		case pgx.QueryExecMode:
			q.mode = option
		case pgx.QueryRewriter:
			rewriter = option
		default:
			return q.rewrite(ctx, conn, rewriter)
		}
		q.args = q.args[1:]
	}
	return q.rewrite(ctx, conn, rewriter)
}

func (q query) rewrite(ctx context.Context, conn *pgx.Conn, rewriter pgx.QueryRewriter) (query, error) {
	if rewriter == nil {
		return q, nil
	}
	var err error
	if q.sql, q.args, err = rewriter.RewriteQuery(ctx, conn, q.sql, q.args); err != nil {
		return q, fmt.Errorf("rewrite query failed: %w", err)
	}
	return q, nil
}

// prepared reports whether a flight asks for the statement's types before the statement.
func (q query) prepared() bool {
	if q.own != nil {
		return false
	}
	switch q.mode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec:
		return true
	}
	return false
}

func (q query) key() statementKey {
	return statementKey{sql: q.sql, named: q.mode == pgx.QueryExecModeCacheStatement}
}

// send sends s and the statement. send waits for no result, except for the preparation of
// statements that are new on the connection.
func (f *flight) send(ctx context.Context, db *DB, conn *pgx.Conn, s scope, mode pgx.QueryExecMode, sql string, args []any) error {
	f.tracer = db.core.tracer
	f.open(ctx, db, conn, s, f.limit)
	f.ctx = f.tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: sql, Args: args})
	sent := false
	defer func() {
		if !sent && !f.sent { // a parameter or a rewriter panics
			_ = f.end(pgconn.CommandTag{}, nil)
		}
	}()
	q, err := readQuery(f.ctx, conn, mode, sql, args)
	if err == nil {
		err = f.sendQuery(db, s, q)
	}
	sent = true
	if err != nil {
		return f.end(pgconn.CommandTag{}, err)
	}
	return nil
}

func (f *flight) sendQuery(db *DB, s scope, q query) error {
	if db.core.cfg.pooled() && (q.mode == pgx.QueryExecModeCacheStatement || leavesSession(q.sql, nil)) {
		return ErrNeedsSession
	}
	var err error
	if q.own, err = byName(f.ctx, f.conn, q.sql); err != nil {
		return err
	}
	if f.exec && len(q.args) == 0 && q.mode != pgx.QueryExecModeSimpleProtocol {
		// As in pgx, a statement without parameters is not prepared.
		q.mode, f.simple = pgx.QueryExecModeExec, true
	}
	f.simple = f.simple || q.mode == pgx.QueryExecModeSimpleProtocol
	v := verdictOf(q.sql, false)
	if f.scoped = !s.isZero(); s.guards() {
		if err := refuseInScope(f.conn, q.sql, v); err != nil {
			return err
		}
	}
	if f.conn.PgConn().TxStatus() == 'I' && f.block.sql == "" && needsBegin(f.conn, v) {
		f.block = ownBlock
	}
	named := db.core.mode == pgx.QueryExecModeCacheStatement
	if q.mode == pgx.QueryExecModeDescribeExec {
		f.st.forget(q.key())
	}
	f.used = f.keys[:0]
	if named = named && f.scoped && (q.prepared() || f.st.has(s.key())); named { // a scope alone is not worth a round trip
		f.used = append(f.used, s.key())
	}
	limitNamed := db.core.mode == pgx.QueryExecModeCacheStatement && !f.limit.isZero()
	if limitNamed = limitNamed && (q.prepared() || f.st.has(txLimit.key()) && f.st.has(txRestore.key())); limitNamed {
		f.used = append(f.used, txLimit.key(), txRestore.key())
	}
	if q.prepared() {
		f.used = append(f.used, q.key())
	}
	if err := f.prepare(s, q.key()); err != nil {
		return err
	}
	if q.prepared() && !f.exec { // pgx has other words for Exec
		if want := len(f.st.get(q.key()).ParamOIDs); want != len(q.args) {
			return fmt.Errorf("expected %d arguments, got %d", want, len(q.args))
		}
	}
	b := &pgconn.Batch{}
	f.block.begin(b)
	if f.scoped {
		f.st.addScope(b, s, named)
	}
	if !f.limit.isZero() {
		f.st.addScope(b, f.limit, limitNamed)
	}
	if err := f.st.add(b, f.conn, q); err != nil {
		return err
	}
	if !f.limit.isZero() {
		f.st.addScope(b, scope{form: txRestore}, limitNamed)
	}
	f.block.commit(b)
	f.began = f.began || f.block.sql != ""
	f.write(b)
	return nil
}

// prepare prepares what is new on the connection. If the statement is new, the BEGIN of a
// transaction goes along, and the scope: an error aborts the transaction, as in pgx.
func (f *flight) prepare(s scope, statement statementKey) error {
	if f.block.commits || f.block.sql == "" || !slices.Contains(f.used, statement) || f.st.has(statement) {
		return f.st.prepare(f.ctx, f.conn, f.tracer, s, block{}, f.used...)
	}
	err := f.st.prepare(f.ctx, f.conn, f.tracer, s, f.block, f.used...)
	f.began, f.block, f.scoped = true, block{}, false
	f.hasBegun(err)
	return err
}

// hasBegun ends the trace of BEGIN.
func (f *flight) hasBegun(err error) {
	if f.begun != nil {
		f.begun(err)
		f.begun = nil
	}
}

// receive reads the scope's result and goes to the statement's result. The reader is nil
// without an error if the statement was empty.
func (f *flight) receive() (*pgconn.ResultReader, error) {
	var err error
	if f.block.sql != "" {
		err = f.skip()
	}
	f.hasBegun(err)
	if err == nil && f.scoped {
		err = f.skip()
	}
	if err == nil && !f.limit.isZero() {
		err = f.skip()
	}
	if err != nil {
		return nil, err
	}
	if !f.results.NextResult() {
		return nil, f.results.Close()
	}
	return f.results.ResultReader(), nil
}

// end finishes the exchange, and reports to the tracers.
func (f *flight) end(tag pgconn.CommandTag, err error) error {
	err = f.finish(err)
	f.tracer.TraceQueryEnd(f.ctx, f.conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	return err
}

// run runs the statement to its end.
func (f *flight) run() (pgconn.CommandTag, error) {
	r, err := f.receive()
	var tag pgconn.CommandTag
	if r != nil {
		tag, err = r.Close()
	}
	if err = f.end(tag, err); err != nil {
		return pgconn.CommandTag{}, err
	}
	return tag, nil
}

// query returns the statement's rows. Call end after the rows, unless query failed: then
// the error comes from the running statement.
func (f *flight) query() (pgx.Rows, error) {
	r, err := f.receive()
	if err != nil {
		return nil, &ranError{f.end(pgconn.CommandTag{}, err)}
	}
	if r == nil {
		return errRows{}, nil // an empty statement
	}
	return pgx.RowsFromResultReader(f.conn.TypeMap(), r), nil
}

// ranError is the error of a sent statement. pgx returns such an error from Rows.Err.
type ranError struct{ error }

func (e *ranError) Unwrap() error { return e.error }

// ranWith returns the error inside a ranError.
func ranWith(err error) (error, bool) {
	var ran *ranError
	if !errors.As(err, &ran) {
		return err, false
	}
	if err == error(ran) { //nolint:errorlint // only the outermost is taken off
		err = ran.error
	}
	return err, true
}

// isSeveral reports whether err refuses a text of several statements, because the server
// takes several statements only as a simple query. The code alone is not enough: a running
// statement may raise the same code. The server translates the message, but not the
// routine.
func isSeveral(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42601" && pgErr.Routine == "exec_parse_message"
}
