package orchestrator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// run sends and counts the statements of a method, and refuses after a stop.
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

// one runs a statement with a single row as the answer.
func one[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (T, error) {
	return run(c, func() (T, error) { return store.One[T](ctx, c.db, sql, args) })
}

// many runs a statement with rows as the answer, and ends after modules.PageBytes.
func many[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) ([]T, error) {
	return run(c, func() ([]T, error) {
		rows, _, err := store.Bounded[T](ctx, c.db, sql, args)
		return rows, err
	})
}

// page reads a page of a list.
func page[R, T any](ctx context.Context, c *Client, list keyset.List[R, T], limit int, after string, args pgx.NamedArgs) (modules.Page[T], error) {
	return run(c, func() (modules.Page[T], error) { return list.Page(ctx, c.db, limit, after, args) })
}

// changed runs a statement without rows, and returns the count of changed rows.
func changed(ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (int64, error) {
	return run(c, func() (int64, error) {
		tag, err := c.db.Exec(ctx, sql, args)
		return tag.RowsAffected(), err
	})
}

// after is store.After.
func after[T any](ctx context.Context, c *Client, first, sql string, args pgx.NamedArgs) ([]T, error) {
	return run(c, func() ([]T, error) {
		c.usage.transactions.Add(1)
		return store.After[T](ctx, c.db, first, sql, args)
	})
}

// lockTaskSQL runs before a statement that ends a task. Without the lock the statement would
// not see a concurrent, new assignment of the task.
const lockTaskSQL = "select from orchestrator.tasks where id = @id for no key update"

// lockTaskAndQueueSQL is lockTaskSQL before a statement that may put the task back into the
// queue: no concurrent call adds to the queue. lockTaskAndQueueSQL locks the queue first, as
// Enqueue does.
const lockTaskAndQueueSQL = "with queue as materialized (" + enqueueLockSQL + `)
select from orchestrator.tasks t, queue where t.id = @id for no key update of t`

// locked runs a statement with a row about the task @id as the answer, under a lock of the
// task. If the task may go back, locked locks the queue too. No row is ErrTaskNotFound.
func locked[T any](ctx context.Context, c *Client, back bool, sql string, args pgx.NamedArgs) (T, error) {
	lock := lockTaskSQL
	if back {
		lock = lockTaskAndQueueSQL
	}
	rows, err := after[T](ctx, c, lock, sql, args)
	if err != nil || len(rows) == 0 {
		var zero T
		return zero, check.First(err, ErrTaskNotFound)
	}
	return rows[0], nil
}
