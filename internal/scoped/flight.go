package scoped

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Flight is a scope and one statement in one write, and in one implicit transaction that
// the server commits at the end. Flight works below pgx.Conn: pgx.Conn can send two statements
// only as a Batch, at three times the allocations.
//
// After Send, one of Run, Query and Scan reads the answers. Set the exported fields before
// Send.
type Flight struct {
	exchange
	Exec  bool      // the statement's rows are not wanted
	Last  bool      // the holder gives the connection back after the flight
	Limit time.Time // if not zero, the deadline of a statement in a transaction, which has its scope already

	begun  func(error) // if not nil, ends the trace of the BEGIN of BeginWith
	tracer pgx.QueryTracer
	uses   [4]use // used begins in uses
	simple bool   // pgx would send the statement as a simple query
	scoped bool   // a scope stands before the statement
	began  bool   // the BEGIN of block was sent
}

// Conn returns the connection of the flight, or nil before Send.
func (f *Flight) Conn() *pgx.Conn { return f.conn }

// Sent reports whether Send has written the statement.
func (f *Flight) Sent() bool { return f.results != nil }

// BeginWith makes Send send BEGIN before the scope. sql is the text of BEGIN. begun, if not nil,
// ends the trace of BEGIN. Call BeginWith before Send.
func (f *Flight) BeginWith(sql string, begun func(error)) { f.block, f.begun = block{sql: sql}, begun }

// Began reports whether the BEGIN of BeginWith was sent.
func (f *Flight) Began() bool { return f.began }

// query is a statement of pgx.Conn.Query, after readQuery has read pgx's options.
type query struct {
	sql          string
	args         []any
	mode         pgx.QueryExecMode
	byCaller     *pgconn.StatementDescription // not nil: the caller has prepared the statement by name
	formats      pgx.QueryResultFormats
	formatsByOID pgx.QueryResultFormatsByOID
}

// Rewrite returns the text and the arguments that pgx sends: without pgx's options, and after a
// pgx.QueryRewriter among the options.
func Rewrite(ctx context.Context, conn *pgx.Conn, sql string, args []any) (string, []any, error) {
	q, err := readQuery(ctx, conn, 0, sql, args)
	return q.sql, q.args, err
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
			if rewriter == nil {
				return q, nil
			}
			return q.rewrite(ctx, conn, rewriter)
		}
		q.args = q.args[1:]
	}
	if rewriter == nil {
		return q, nil
	}
	return q.rewrite(ctx, conn, rewriter)
}

func (q query) rewrite(ctx context.Context, conn *pgx.Conn, rewriter pgx.QueryRewriter) (query, error) {
	var err error
	if q.sql, q.args, err = rewriter.RewriteQuery(ctx, conn, q.sql, q.args); err != nil {
		return q, fmt.Errorf("rewrite query failed: %w", err)
	}
	return q, nil
}

// needsTypes reports whether a flight asks for the statement's types before the statement.
func (q query) needsTypes() bool {
	if q.byCaller != nil {
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

// Send sends s and the statement. Send waits for no result, except for the preparation of
// statements that are new on the connection.
func (f *Flight) Send(ctx context.Context, e *Engine, conn *pgx.Conn, s *Scope, sql string, args []any) error {
	f.tracer = e.Tracer
	deadline := s.Deadline
	if !f.Limit.IsZero() {
		deadline = f.Limit
	}
	f.open(ctx, e, conn, deadline)
	f.ctx = f.tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: sql, Args: args})
	sent := false
	defer func() {
		if !sent && !f.sent { // a parameter or a rewriter panics
			_ = f.End(pgconn.CommandTag{}, nil)
		}
	}()
	q, err := readQuery(f.ctx, conn, e.Mode, sql, args)
	if err == nil {
		err = f.sendQuery(e, s, q)
	}
	sent = true
	if err != nil {
		err = f.End(pgconn.CommandTag{}, err)
		f.hasBegun(err)
	}
	return err
}

func (f *Flight) sendQuery(e *Engine, s *Scope, q query) error {
	if f.conn.PgConn().IsBusy() {
		// The memory of the connection's statements belongs to the statement whose answers are unread.
		// pgx has the words of the error.
		return f.conn.PgConn().ExecBatch(f.ctx, &pgconn.Batch{}).Close()
	}
	v := EffectsOf(q.sql, false)
	if e.Pooled && (q.mode == pgx.QueryExecModeCacheStatement || LeavesSession(v)) {
		return ErrNeedsSession
	}
	var err error
	if q.byCaller, err = byName(f.ctx, f.conn, q.sql); err != nil {
		return err
	}
	if f.Exec && len(q.args) == 0 && q.mode != pgx.QueryExecModeSimpleProtocol {
		// As in pgx, a statement without parameters is not prepared.
		q.mode, f.simple = pgx.QueryExecModeExec, true
	}
	f.simple = f.simple || q.mode == pgx.QueryExecModeSimpleProtocol
	f.scoped = s.template != nil
	if err := s.Guard().Refuse(f.conn, q.sql, v); err != nil {
		return err
	}
	if f.conn.PgConn().TxStatus() == 'I' && f.block.sql == "" && needsBegin(f.conn, v) {
		f.block = implicitBlock
	}
	p, err := f.prepare(e, s, q)
	if err != nil {
		return err
	}
	b := &pgconn.Batch{}
	if f.block.sql != "" {
		f.block.begin(b)
	}
	if f.scoped {
		f.st.addScope(b, s, p.scope)
	}
	limited := !f.Limit.IsZero()
	if limited {
		f.st.addScope(b, &Scope{template: limitTemplate, Deadline: f.Limit}, p.limit)
	}
	if err := f.st.add(b, f.conn, q, p.statement); err != nil {
		return err
	}
	if limited {
		f.st.addScope(b, &Scope{template: restoreTemplate}, p.restore)
	}
	if f.block.commits {
		f.block.commit(b)
	}
	f.ends = f.Last && v.Statements == 1 // see Several
	f.began = f.began || f.block.sql != ""
	f.write(b)
	return nil
}

// prepared are the statements of a flight that the connection knows by name. The texts of the
// nil statements travel with the flight.
type prepared struct{ scope, limit, restore, statement *pgconn.StatementDescription }

// prepare finds the statements of the flight, and prepares the statements that are new on the
// connection. A scope alone is not worth a round trip. If the caller's statement is new, the BEGIN
// of a transaction goes along, and the scope: an error aborts the transaction, as in pgx.
func (f *Flight) prepare(e *Engine, s *Scope, q query) (p prepared, err error) {
	named, statement := e.names(), q.needsTypes()
	scope := named && f.scoped && (statement || f.st.has(s.template.key()))
	limit := named && !f.Limit.IsZero() && (statement || f.st.has(limitTemplate.key()) && f.st.has(restoreTemplate.key()))
	f.used = f.uses[:0]
	if scope {
		f.used = append(f.used, use{key: s.template.key()})
	}
	if limit {
		f.used = append(f.used, use{key: limitTemplate.key()}, use{key: restoreTemplate.key()})
	}
	if statement {
		if q.mode == pgx.QueryExecModeDescribeExec {
			f.st.forget(q.key())
		}
		f.used = append(f.used, use{key: q.key()})
	}
	if f.block.sql != "" && !f.block.commits && statement && !f.st.has(q.key()) {
		err = f.st.prepare(f.ctx, f.conn, f.tracer, s, f.block, f.used)
		f.began, f.block, f.scoped = true, block{}, false
		f.hasBegun(err)
	} else {
		err = f.st.prepare(f.ctx, f.conn, f.tracer, s, block{}, f.used)
	}
	if err != nil {
		return p, err
	}
	used := f.used
	if scope {
		p.scope, used = used[0].StatementDescription, used[1:]
	}
	if limit {
		p.limit, p.restore, used = used[0].StatementDescription, used[1].StatementDescription, used[2:]
	}
	if statement {
		p.statement = used[0].StatementDescription
		if want := len(p.statement.ParamOIDs); want != len(q.args) && !f.Exec { // pgx has other words for Exec
			return p, fmt.Errorf("expected %d arguments, got %d", want, len(q.args))
		}
	}
	return p, nil
}

// hasBegun ends the trace of the BEGIN, once.
func (f *Flight) hasBegun(err error) {
	if f.begun != nil {
		f.begun(err)
		f.begun = nil
	}
}

// receive reads the scope's result and goes to the statement's result. The reader is nil
// without an error if the statement was empty.
func (f *Flight) receive() (*pgconn.ResultReader, error) {
	var err error
	if f.block.sql != "" {
		err = f.skip()
	}
	if f.begun != nil {
		f.hasBegun(err)
	}
	if err == nil && f.scoped {
		err = f.skip()
	}
	if err == nil && !f.Limit.IsZero() {
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

// End finishes the exchange, and reports to the tracers.
func (f *Flight) End(tag pgconn.CommandTag, err error) error {
	err = f.finish(err)
	f.tracer.TraceQueryEnd(f.ctx, f.conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	return err
}

// Run runs the statement to its end.
func (f *Flight) Run() (pgconn.CommandTag, error) {
	r, err := f.receive()
	var tag pgconn.CommandTag
	if r != nil {
		tag, err = r.Close()
	}
	if err = f.End(tag, err); err != nil {
		return pgconn.CommandTag{}, err
	}
	return tag, nil
}

// Query returns the statement's rows. Call End after the rows, unless Query failed: then
// the error comes from the running statement.
func (f *Flight) Query() (pgx.Rows, error) {
	r, err := f.receive()
	if err != nil {
		return nil, &ranError{f.End(pgconn.CommandTag{}, err)}
	}
	if r == nil {
		return failedRows{}, nil // an empty statement
	}
	return pgx.RowsFromResultReader(f.conn.TypeMap(), r), nil
}

// ranError is the error of a sent statement. pgx returns such an error from Rows.Err.
type ranError struct{ error }

func (e *ranError) Unwrap() error { return e.error }

// RanWith returns the error of a sent statement without the mark of [Flight.Query]. ran reports
// whether err has the mark.
func RanWith(err error) (_ error, ran bool) {
	var marked *ranError
	if !errors.As(err, &marked) {
		return err, false
	}
	if err == error(marked) { //nolint:errorlint // only the outermost is taken off
		err = marked.error
	}
	return err, true
}

// Several reports whether err refuses a text of several statements that pgx would send as a
// simple query: the server takes several statements only as a simple query, and has run none.
// The code alone is not enough: a running statement may raise the same code. The server
// translates the message, but not the routine.
func (f *Flight) Several(err error) bool {
	if !f.simple || err == nil {
		return false
	}
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42601" && pgErr.Routine == "exec_parse_message"
}
