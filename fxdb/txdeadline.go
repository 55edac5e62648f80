package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/scoped"
)

// statementDeadline returns ctx's deadline for a statement in a transaction. The zero time means
// that the statement carries no deadline: ctx has no deadline, the client's own limit comes
// first, or the statement may mean something else after a query.
func (t *transaction) statementDeadline(ctx context.Context, sql string, args []any) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok || t.hasEnded() {
		return time.Time{}
	}
	own := t.db.client.settings.Load().Statement
	if own != 0 && time.Until(deadline) >= own || !readsOrWrites(sql) || !t.db.takesScope(sql, args) {
		return time.Time{}
	}
	return deadline
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
func (t *transaction) flightOf(ctx context.Context, f *scoped.Flight, deadline time.Time, sql string, args []any) error {
	t.opening.over = true
	f.Limit = deadline
	return f.Send(ctx, &t.db.core.engine, t.Tx.Conn(), &scoped.Scope{}, sql, args)
}

func (t *transaction) execLimited(ctx context.Context, deadline time.Time, sql string, args []any) (pgconn.CommandTag, error) {
	f := scoped.Flight{Exec: true}
	if err := t.flightOf(ctx, &f, deadline, sql, args); err != nil {
		return pgconn.CommandTag{}, err
	}
	return f.Run()
}

func (t *transaction) queryLimited(ctx context.Context, deadline time.Time, sql string, args []any) (pgx.Rows, error) {
	r := &scoped.Rows{}
	err := t.flightOf(ctx, &r.Flight, deadline, sql, args)
	if err == nil {
		r.Rows, err = r.Flight.Query()
	}
	if err == nil {
		return r, nil
	}
	err, ran := scoped.RanWith(err)
	if ran {
		return scoped.FailedRows(err), nil
	}
	return scoped.FailedRows(err), err
}

func (t *transaction) queryRowLimited(ctx context.Context, deadline time.Time, sql string, args []any) pgx.Row {
	r := &limitedRow{}
	if err := t.flightOf(ctx, &r.flight, deadline, sql, args); err != nil {
		return scoped.FailedRow(err)
	}
	return r
}

// limitedRow is the row of a statement with a deadline in a transaction.
type limitedRow struct {
	flight scoped.Flight
	read   bool
}

func (r *limitedRow) Scan(dest ...any) error {
	if r.read {
		return errScanned
	}
	r.read = true
	return r.flight.Scan(dest)
}
