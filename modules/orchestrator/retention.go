package orchestrator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// DefaultRetention is the default age of DeleteFinished.
const DefaultRetention = 30 * 24 * time.Hour

const deleteFinishedSQL = `
with old as materialized (
    select f.tenant_id, f.id from orchestrator.tasks f
    where f.status in ('completed', 'failed', 'cancelled') and f.completed_at < now() - @age::interval
    limit @limit::int for update skip locked
)
delete from orchestrator.tasks t using old where t.tenant_id = old.tenant_id and t.id = old.id`

// DeleteFinished deletes the completed, failed and cancelled tasks that ended longer than age
// ago, with the assignments and executions. DeleteFinished returns the count of deleted tasks.
// An age of 0 is DefaultRetention. DeleteFinished deletes in batches, each in a separate
// transaction: with an error DeleteFinished returns the count of the committed batches.
func (c *Client) DeleteFinished(ctx context.Context, age time.Duration) (int64, error) {
	if age == 0 {
		age = DefaultRetention
	}
	if err := modules.FirstError(modules.Check("age", "must not be negative", age >= 0), modules.CheckDuration("age", age)); err != nil {
		return 0, wrap("delete finished", err)
	}
	n, err := modules.Purge(ctx, func(ctx context.Context, limit int) (int64, error) {
		return changed(ctx, c, deleteFinishedSQL, pgx.NamedArgs{"age": age, "limit": limit})
	})
	return n, wrap("delete finished", err)
}
