package scoped

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Lease is a connection that its holder gives back.
type Lease interface {
	Conn() *pgx.Conn
	Release()
}

// SendBatch sends s and all of b as a flight. Close of the results releases the lease. pgx's
// own batch forgets all of its prepared statements when a statement fails, the scope's included.
func (e *Engine) SendBatch(ctx context.Context, conn Lease, s *Scope, b *pgx.Batch) pgx.BatchResults {
	f := &batchFlight{held: conn, batch: b, mode: e.Mode}
	f.tracer, _ = e.Tracer.(pgx.BatchTracer)
	f.open(ctx, e, conn.Conn(), s.Deadline)
	if f.tracer != nil {
		f.ctx = f.tracer.TraceBatchStart(ctx, conn.Conn(), pgx.TraceBatchStartData{Batch: b})
	}
	if err := f.send(s); err != nil {
		f.err = err
		return f
	}
	if f.block.sql != "" {
		f.err = f.errorOf(f.skip())
	}
	if f.err == nil {
		f.err = f.errorOf(f.skip()) // the scope's
	}
	return f
}

// batchFlight is a scope and a batch in flight, with the results.
type batchFlight struct {
	exchange
	held   Lease // nil after the release
	tracer pgx.BatchTracer
	batch  *pgx.Batch
	mode   pgx.QueryExecMode // of the batch's statements
	read   int               // how many results were begun
	last   *batchRows
	err    error
}

// send prepares the statements that are new on the connection, and sends s and the batch.
func (f *batchFlight) send(s *Scope) error {
	named := f.mode == pgx.QueryExecModeCacheStatement
	if named {
		f.used = append(f.used, use{key: s.template.key()})
	}
	queries := make([]query, len(f.batch.QueuedQueries))
	for i, qq := range f.batch.QueuedQueries {
		var err error
		if queries[i], err = f.readMember(s, qq); err != nil {
			return err
		}
	}
	f.st.refused = ""
	if err := f.st.prepare(f.ctx, f.conn, nil, s, block{}, f.used); err != nil {
		if f.st.refused != "" {
			err = preprocessing("prepare", f.st.refused, err)
		}
		return err
	}
	b := &pgconn.Batch{}
	f.block.begin(b)
	used := f.used
	var sd *pgconn.StatementDescription
	if named {
		sd, used = used[0].StatementDescription, used[1:]
	}
	f.st.addScope(b, s, sd)
	for _, q := range queries {
		sd = nil
		if q.needsTypes() {
			sd, used = used[0].StatementDescription, used[1:]
		}
		f.st.params = pgx.ExtendedQueryBuilder{} // the formats are needed until the result is read
		if err := f.st.add(b, f.conn, q, sd); errors.Is(err, errTooManyParams) {
			return err
		} else if err != nil {
			return preprocessing("build", q.sql, err)
		}
	}
	f.block.commit(b)
	f.ends = true
	f.write(b)
	return nil
}

// readMember reads a member of the batch, refuses a text that would end or change s, and notes what
// the member needs: a transaction block, a preparation.
func (f *batchFlight) readMember(s *Scope, member *pgx.QueuedQuery) (q query, err error) {
	q = query{sql: member.SQL, args: member.Arguments, mode: f.mode}
	if len(q.args) > 0 {
		if rewriter, ok := q.args[0].(pgx.QueryRewriter); ok {
			q.args = q.args[1:]
			if q, err = q.rewrite(f.ctx, f.conn, rewriter); err != nil {
				return q, err
			}
		}
	}
	if q.byCaller, err = byName(f.ctx, f.conn, q.sql); err != nil {
		return q, err
	}
	v := EffectsOf(q.sql, false)
	if err := s.Guard().Refuse(f.conn, q.sql, v); err != nil {
		return q, err
	}
	if needsBegin(f.conn, v) {
		f.block = implicitBlock
	}
	if q.mode == pgx.QueryExecModeDescribeExec {
		f.st.forget(q.key())
	}
	if q.needsTypes() {
		f.used = append(f.used, use{key: q.key()})
	}
	return q, nil
}

var errBatchClosed = errors.New("batch already closed")

// next goes to the next result.
func (f *batchFlight) next() (*batchRows, error) {
	if f.last != nil {
		f.last.Close()
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case f.held == nil:
		return nil, errBatchClosed
	}
	r := &batchRows{flight: f, conn: f.conn, began: time.Now()}
	if f.read < len(f.batch.QueuedQueries) {
		r.query = f.batch.QueuedQueries[f.read]
		f.read++
	}
	if r.query == nil || !f.results.NextResult() {
		err := f.results.Close()
		if err == nil {
			err = errors.New("no more results in batch")
		}
		r.Rows = failedRows{err}
	} else {
		r.Rows = pgx.RowsFromResultReader(r.conn.TypeMap(), f.results.ResultReader())
	}
	f.last = r
	if err := r.Err(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (f *batchFlight) Exec() (pgconn.CommandTag, error) {
	r, err := f.next()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	r.Close()
	return r.CommandTag(), r.Err()
}

func (f *batchFlight) Query() (pgx.Rows, error) {
	r, err := f.next()
	if err != nil {
		return failedRows{err}, err
	}
	return r, nil
}

func (f *batchFlight) QueryRow() pgx.Row {
	r, err := f.next()
	if err != nil {
		return failedRow{err}
	}
	return batchRow{r}
}

func (f *batchFlight) Tx() pgx.Tx { return nil }

// Close reads the remaining results, runs the callbacks of the queries, and releases the
// connection. The transaction commits in Close.
func (f *batchFlight) Close() (err error) {
	if f.held == nil {
		return f.err
	}
	defer func() { // a tracer may panic
		f.held.Release()
		f.held = nil
	}()
	defer func() {
		f.err = f.finish(f.err)
		if f.tracer != nil {
			f.tracer.TraceBatchEnd(f.ctx, f.conn, pgx.TraceBatchEndData{Err: f.err})
		}
		err = f.err
	}()
	for f.err == nil && f.read < len(f.batch.QueuedQueries) {
		if fn := f.batch.QueuedQueries[f.read].Fn; fn != nil {
			f.err = fn(f)
		} else if _, err := f.Exec(); err != nil {
			f.err = err
		}
	}
	if f.last != nil {
		f.last.Close()
	}
	return f.err
}

// batchRows is one result of a batch.
type batchRows struct {
	pgx.Rows
	flight *batchFlight
	conn   *pgx.Conn
	query  *pgx.QueuedQuery // nil: none is left
	began  time.Time
	closed bool
}

func (r *batchRows) Conn() *pgx.Conn { return r.conn }

func (r *batchRows) Err() error {
	return r.flight.errorOf(r.Rows.Err())
}

func (r *batchRows) Close() {
	r.Rows.Close()
	if r.closed {
		return
	}
	r.closed = true
	if r.flight.tracer == nil {
		return
	}
	data := pgx.TraceBatchQueryData{CommandTag: r.CommandTag(), Err: r.Err(), ReadStartTime: r.began}
	if r.query != nil {
		data.SQL, data.Args = r.query.SQL, r.query.Arguments
	}
	r.flight.tracer.TraceBatchQuery(r.flight.ctx, r.conn, data)
}

func (r *batchRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

type batchRow struct{ rows pgx.Rows }

func (r batchRow) Scan(dest ...any) error { return scanOne(r.rows, dest) }
