package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// Ping sends an empty statement, and needs no tenant.
func (db *DB) Ping(ctx context.Context) error {
	// An empty statement reads nothing, so a tenant in ctx does not matter.
	conn, err := db.acquire(ctx, "", forCall, 0)
	if err != nil {
		return err
	}
	defer conn.Release()
	return conn.Ping(ctx)
}

// Exec runs a statement. With an identity in ctx the statement and the tenant's settings
// are one transaction in one round trip. Several statements in one text take four round
// trips.
//
// A statement that can't run in a transaction (VACUUM) runs alone, by Query, QueryRow and as the
// first member of SendBatch too. With [Timeouts] of the client an earlier round trip sets the
// limits.
//
// Exec fails with the server's *pgconn.PgError, and before the statement with
//
//   - [ErrTenantRequired], if the client requires a tenant and ctx has none
//   - [ErrNotStarted] or [ErrDraining], before the start and in the drain
//   - [*AcquireError], if no connection came in time
//   - [*ScopeError], if the text would end the scope's transaction or change the scope
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	args = watch(args, nil)
	s, err := db.scopeFor(ctx, sql, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, retry, err := db.exec(ctx, &s, 0, sql, args)
	if retry {
		return db.resendExec(ctx, err, s, sql, args)
	}
	return tag, err
}

func (db *DB) resendExec(ctx context.Context, lost error, s scoped.Scope, sql string, args []any) (pgconn.CommandTag, error) {
	return resendFor(ctx, db, lost, func(within time.Duration) (pgconn.CommandTag, bool, error) {
		return db.exec(ctx, &s, within, sql, args)
	})
}

func (db *DB) exec(ctx context.Context, s *scoped.Scope, within time.Duration, sql string, args []any) (tag pgconn.CommandTag, retry bool, err error) {
	conn, err := db.acquire(ctx, s.Identity.Tenant, forCall, within)
	if err != nil {
		return tag, false, err
	}
	defer conn.Release()
	if tag, err = db.execOn(ctx, conn.Conn(), s, true, sql, args); err != nil {
		return tag, db.mayResendStatement(ctx, conn.Conn(), err, sql), err
	}
	db.warnOfLeftover(conn.Conn())
	return tag, false, nil
}

// execScoped runs a statement with a scope. last reports whether the caller gives conn back.
func (db *DB) execScoped(ctx context.Context, conn *pgx.Conn, s *scoped.Scope, last bool, sql string, args []any) (pgconn.CommandTag, error) {
	f := scoped.Flight{Exec: true, Last: last}
	if err := f.Send(ctx, &db.core.engine, conn, s, sql, args); err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := f.Run()
	if f.Several(err) { // nothing ran
		err = db.runSeveral(ctx, conn, *s, func(tx pgx.Tx) (err error) {
			tag, err = tx.Exec(ctx, sql, args...)
			return err
		})
	}
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tag, nil
}

// Query runs a statement that returns rows. The rows hold the connection until the caller
// closes the rows or reads the last row. Check Err afterwards: with an identity in ctx,
// Err returns the error of a failed commit. In the simple protocol a text may have several
// statements: the rows are those of the first statement, as in pgx, and Close runs the rest.
// Query returns the errors that [DB.Exec] lists, and Err returns the server's error.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	args = watch(args, nil)
	s, err := db.scopeFor(ctx, sql, args)
	if err != nil {
		return scoped.FailedRows(err), err
	}
	r, retry, err := db.query(ctx, &s, 0, sql, args)
	if retry {
		r, err = db.resendQuery(ctx, err, s, sql, args)
	}
	if err, ran := scoped.RanWith(err); ran {
		return scoped.FailedRows(err), nil
	}
	if err != nil {
		return scoped.FailedRows(err), err
	}
	return r, nil
}

func (db *DB) resendQuery(ctx context.Context, lost error, s scoped.Scope, sql string, args []any) (*rows, error) {
	return resendFor(ctx, db, lost, func(within time.Duration) (*rows, bool, error) {
		return db.query(ctx, &s, within, sql, args)
	})
}

func (db *DB) query(ctx context.Context, s *scoped.Scope, within time.Duration, sql string, args []any) (_ *rows, retry bool, err error) {
	conn, err := db.acquire(ctx, s.Identity.Tenant, forHolding, within)
	if err != nil {
		return nil, false, err
	}
	held := false
	defer func() {
		if !held { // the statement failed, or a parameter, a rewriter or a tracer panics
			conn.Release()
		}
	}()
	r := &rows{conn: conn, flight: scoped.Flight{Last: true}}
	if s, err = db.scopeOn(ctx, conn.Conn(), s, sql, args); err != nil {
		return nil, mayResend(ctx, conn.Conn(), err, false), err
	}
	r.Rows, err = db.queryOn(ctx, conn.Conn(), s, &r.flight, sql, args)
	if err != nil {
		return nil, db.mayResendStatement(ctx, conn.Conn(), err, sql), err
	}
	held = true
	db.warnOfLeftover(conn.Conn())
	if isIdempotent(ctx) {
		// Until the caller has seen a row, fxdb may retry the statement.
		pc := conn.Conn()
		has := r.Rows.Next()
		r.ahead.Put(has)
		if !has {
			r.Close()
			if err := r.Err(); mayResend(ctx, pc, err, true) {
				return nil, true, err
			}
		}
	}
	return r, false, nil
}

// queryOn runs a statement on conn, and returns the rows: of f if s is not zero. f stays unsent
// for a text of several statements.
func (db *DB) queryOn(ctx context.Context, conn *pgx.Conn, s *scoped.Scope, f *scoped.Flight, sql string, args []any) (pgx.Rows, error) {
	if s.IsZero() {
		scoped.CancelAtDeadline(ctx, conn)
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return rows, scoped.Ended(conn, err)
		}
		return rows, nil
	}
	if err := f.Send(ctx, &db.core.engine, conn, s, sql, args); err != nil {
		return nil, err
	}
	if rows, err := f.Query(); err == nil || !f.Several(err) {
		return rows, err
	}
	*f = scoped.Flight{} // nothing ran
	return db.querySeveral(ctx, conn, *s, sql, args)
}

// QueryRow runs a statement that returns at most one row. Call Scan: Scan releases the
// connection, and returns every error: pgx.ErrNoRows, and the errors that [DB.Exec] lists.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	args = watch(args, nil)
	s, err := db.scopeFor(ctx, sql, args)
	if err != nil {
		return scoped.FailedRow(err)
	}
	r := db.newRow(ctx, &s, sql, args)
	if err := r.send(0); err != nil {
		return scoped.FailedRow(err)
	}
	return r
}

// SendBatch sends the statements of b in one round trip and as one transaction, with a tenant
// and without: after an error nothing of b has taken effect. A list of statements that is
// known at once therefore needs no InTx. Texts that begin or end a transaction, and CALL of a
// procedure that commits, are the exception without a tenant. New statements are prepared in a
// round trip of their own.
//
// Close the results: Close releases the connection, and returns the error of the commit.
// SendBatch does not change b.
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	s, err := db.scopeForBatch(ctx, b)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if db.core.cfg.pooled() {
		if err := refuseBatch(b); err != nil {
			return pgx.FailedBatchResults(b, err)
		}
	}
	db.warnOfBatch(b)
	conn, err := db.acquire(ctx, s.Identity.Tenant, forHolding, 0)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	sent := false
	defer func() {
		if !sent { // a parameter, a rewriter or a tracer panics
			conn.Release()
		}
	}()
	results := db.sendAll(ctx, conn, &s, b)
	sent = true
	return results
}

func (db *DB) sendAll(ctx context.Context, conn *pgxpool.Conn, s *scoped.Scope, b *pgx.Batch) pgx.BatchResults {
	if b.Len() > 0 { // the server takes what can't run in a transaction as the first member only
		var err error
		if s, err = db.scopeOn(ctx, conn.Conn(), s, b.QueuedQueries[0].SQL, b.QueuedQueries[0].Arguments); err != nil {
			conn.Release()
			return pgx.FailedBatchResults(b, err)
		}
	}
	switch {
	case s.IsZero() || b.Len() == 0:
		return db.batchResults(conn, *s, conn.SendBatch(ctx, watchBatch(b, nil)), nil)
	case !begins(b) && db.hasSeveral(b):
		return db.sendSeveral(ctx, conn, *s, b)
	case !begins(b) && !db.hasLead(b):
		return db.core.engine.SendBatch(ctx, conn, s, watchBatch(b, nil))
	default:
		if err := refuseBatchInScope(conn.Conn(), s.Guard(), b); err != nil {
			conn.Release()
			return pgx.FailedBatchResults(b, err)
		}
		b = watchBatch(b, func(sql string) error {
			return s.Guard().Refuse(conn.Conn(), sql, scoped.EffectsOf(sql, false))
		})
		own, hidden := withScope(b, s)
		return db.batchResults(conn, *s, conn.SendBatch(db.core.traced.hides(ctx, own, hidden), own), hidden)
	}
}
