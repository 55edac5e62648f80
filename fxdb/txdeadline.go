package fxdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A statement of a transaction carries the caller's deadline between two statements of the same
// flight: txLimit keeps the transaction's statement_timeout and sets a shorter timeout, and
// txRestore restores the statement_timeout for the next statement and for COMMIT. If the
// statement fails, the transaction or its savepoint ends, and the server restores the timeout.
var (
	txLimit = &scopeForm{
		list: []setting{{name: "statement_timeout", value: appendRemaining}},
		sql: "select pg_catalog.set_config('onepool.statement_timeout', pg_catalog.current_setting('statement_timeout'), true), " +
			"pg_catalog.set_config('statement_timeout', " + fmt.Sprintf(leastTimeout, 1) + ", true)",
	}
	txRestore = &scopeForm{
		sql: "select pg_catalog.set_config('statement_timeout', pg_catalog.current_setting('onepool.statement_timeout'), true)",
	}
)

// limit returns the scope that carries ctx's deadline in a transaction. The zero scope means
// that the statement carries no deadline: ctx has none, or the client's own limit comes first,
// or the statement may mean something else behind a query.
func (t *transaction) limit(ctx context.Context, sql string, args []any) (limit scope) {
	deadline, ok := ctx.Deadline()
	if !ok || t.hasEnded() {
		return scope{}
	}
	own := t.db.client.scope.Load().statement
	if own != 0 && time.Until(deadline) >= own || !readsOrWrites(sql) || !t.db.takesScope(sql, args) {
		return scope{}
	}
	return scope{form: txLimit, deadline: deadline}
}

func (t *transaction) hasEnded() bool {
	for ; t != nil; t = t.outer {
		if t.ended {
			return true
		}
	}
	return false
}

// readsOrWrites rules out the statements about transactions and sessions: a savepoint, for
// example, would keep the deadline.
func readsOrWrites(sql string) bool {
	for _, word := range [...]string{"select", "insert", "update", "delete", "with", "merge", "values", "table"} {
		if beginsWith(sql, word) {
			return true
		}
	}
	return false
}

// flightOf sends a statement of a begun transaction with a deadline.
func (t *transaction) flightOf(ctx context.Context, f *flight, limit scope, sql string, args []any) error {
	t.opening.over = true
	f.limit = limit
	return f.send(ctx, t.db, t.Tx.Conn(), scope{}, t.db.core.mode, sql, args)
}

func (t *transaction) execLimited(ctx context.Context, limit scope, sql string, args []any) (pgconn.CommandTag, error) {
	f := flight{exec: true}
	if err := t.flightOf(ctx, &f, limit, sql, args); err != nil {
		return pgconn.CommandTag{}, err
	}
	return f.run()
}

func (t *transaction) queryLimited(ctx context.Context, limit scope, sql string, args []any) (pgx.Rows, error) {
	r := &flightRows{}
	err := t.flightOf(ctx, &r.flight, limit, sql, args)
	if err == nil {
		r.Rows, err = r.flight.query()
	}
	if err == nil {
		return r, nil
	}
	err, ran := ranWith(err)
	if ran {
		return errRows{err}, nil
	}
	return errRows{err}, err
}

func (t *transaction) queryRowLimited(ctx context.Context, limit scope, sql string, args []any) pgx.Row {
	r := &limitedRow{}
	if err := t.flightOf(ctx, &r.flight, limit, sql, args); err != nil {
		return errRow{err}
	}
	return r
}

// limitedRow is the row of a statement with a deadline in a transaction.
type limitedRow struct {
	flight flight
	read   bool
}

func (r *limitedRow) Scan(dest ...any) error {
	if r.read {
		return errScanned
	}
	r.read = true
	return r.flight.scan(dest)
}
