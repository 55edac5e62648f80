package agentregistry

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// The statement reads the capacity from the locked row, so a concurrent change of the capacity
// counts.
const adjustSQL = `
with agent as (
    select tenant_id, id, max_concurrent_tasks from registry.agents where id = @id for no key update
)
update registry.agent_load l set
    active_tasks        = greatest(0, l.active_tasks + @active::int),
    queued_tasks        = greatest(0, l.queued_tasks + @queued::int),
    utilization_percent = least(100, greatest(0, l.active_tasks + @active::int) * 100.0 / agent.max_concurrent_tasks)
from agent
where l.tenant_id = agent.tenant_id and l.agent_id = agent.id
returning l.active_tasks, l.queued_tasks, l.utilization_percent`

// AdjustLoad adds to the agent's counters, which stop at 0, and returns the counters with the
// utilisation of the agent's capacity. A missing agent is ErrAgentNotFound.
func (c *Client) AdjustLoad(ctx context.Context, id string, activeDelta, queuedDelta int) (Load, error) {
	err := check.First(
		check.ID("id", id),
		check.Int32("active_delta", activeDelta, math.MinInt32),
		check.Int32("queued_delta", queuedDelta, math.MinInt32),
	)
	if err != nil {
		return Load{}, wrap("adjust load", err)
	}
	l, err := store.One[Load](ctx, c.db, adjustSQL, pgx.NamedArgs{"id": id, "active": activeDelta, "queued": queuedDelta})
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) && pgErr.Code == "22003" {
		err = check.Invalid("active_delta and queued_delta", "must leave at most 2147483647 tasks")
	}
	return l, wrap("adjust load", err)
}
