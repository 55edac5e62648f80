package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
)

// DefaultRetention is the default age of DeleteFinished.
const DefaultRetention = 30 * 24 * time.Hour

// deleteBatch is the largest number of tasks that a statement of DeleteFinished deletes.
const deleteBatch = 2000

// The statement deletes the next tasks of a range of the index. The range begins at the previous
// statement's last task: the rows that the previous statements have deleted are not visited again.
const (
	deleteFinishedSQL = `
with old as materialized (
    select f.tenant_id, f.id, f.status, f.completed_at from orchestrator.tasks f
    where f.status in ('completed', 'failed', 'cancelled') and f.completed_at < now() - @age::interval%s
    order by f.status, f.completed_at limit @limit::int for update skip locked
), gone as (
    delete from orchestrator.tasks t using old where t.tenant_id = old.tenant_id and t.id = old.id returning t.id
)
select (select count(*) from gone) as deleted, last.status, last.completed_at
from (select) one left join (select o.status, o.completed_at from old o order by o.status desc, o.completed_at desc limit 1) last on true`
	finishedAfterSQL = " and (f.status, f.completed_at) >= (@status::text, @time::timestamptz)"
)

// DeleteFinished deletes the completed, failed and cancelled tasks that ended longer than age
// ago, with the assignments and executions. DeleteFinished returns the count of deleted tasks.
// An age of 0 is DefaultRetention. DeleteFinished deletes in batches, each in a separate
// transaction: with an error DeleteFinished returns the count of the committed batches.
func (c *Client) DeleteFinished(ctx context.Context, age time.Duration) (int64, error) {
	if age == 0 {
		age = DefaultRetention
	}
	if err := check.First(check.That("age", "must not be negative", age >= 0), check.Duration("age", age)); err != nil {
		return 0, wrap("delete finished", err)
	}
	type row struct {
		Deleted     int64
		Status      *string
		CompletedAt *time.Time
	}
	var total int64
	after, args := "", pgx.NamedArgs{"age": age, "limit": deleteBatch}
	for {
		r, err := one[row](ctx, c, fmt.Sprintf(deleteFinishedSQL, after), args)
		if err != nil {
			return total, wrap("delete finished", err)
		}
		total += r.Deleted
		if r.Deleted < deleteBatch {
			return total, nil
		}
		after, args["status"], args["time"] = finishedAfterSQL, r.Status, r.CompletedAt
	}
}
