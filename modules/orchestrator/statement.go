package orchestrator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
)

// run sends what a method has to send: all of it is refused after a stop, and
// counted.
func run[T any](c *Client, send func() (T, error)) (T, error) {
	if c.stopped.Load() {
		var zero T
		return zero, fxdb.ErrDraining
	}
	began := time.Now()
	v, err := send()
	c.usage.note(time.Since(began), err)
	return v, err
}

// one runs a statement that returns one row.
func one[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (T, error) {
	return run(c, func() (T, error) { return modules.One[T](ctx, c.db, sql, args) })
}

// many runs a statement that returns rows.
func many[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) ([]T, error) {
	return run(c, func() ([]T, error) { return modules.Many[T](ctx, c.db, sql, args) })
}

// page is modules.Page.
func page[T any](ctx context.Context, c *Client, table, after, sql string, args pgx.NamedArgs, missing error) ([]T, error) {
	return run(c, func() ([]T, error) { return modules.Page[T](ctx, c.db, table, after, sql, args, missing) })
}

// changed runs a statement that returns no rows, and says how many it changed.
func changed(ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (int64, error) {
	return run(c, func() (int64, error) {
		tag, err := c.db.Exec(ctx, sql, args)
		return tag.RowsAffected(), err
	})
}

// after is modules.After.
func after[T any](ctx context.Context, c *Client, first, sql string, args pgx.NamedArgs) ([]T, error) {
	return run(c, func() ([]T, error) {
		c.usage.transactions.Add(1)
		return modules.After[T](ctx, c.db, first, sql, args)
	})
}

// lockTaskSQL comes before a statement that ends a task: one that began while an
// assignment of the task was being made would not see it.
const lockTaskSQL = "select from orchestrator.tasks where id = @id for no key update"

// locked runs a statement that returns one row about the task @id, once the task
// is locked. No row is ErrTaskNotFound.
func locked[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (T, error) {
	rows, err := after[T](ctx, c, lockTaskSQL, sql, args)
	if err != nil || len(rows) == 0 {
		var zero T
		return zero, modules.FirstError(err, ErrTaskNotFound)
	}
	return rows[0], nil
}
