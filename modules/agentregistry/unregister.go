package agentregistry

import (
	"context"
	"time"

	"github.com/agentagency/onepool/modules"
)

// Unregister deletes an agent and all of the agent's rows, and returns false if the agent was
// missing.
func (c *Client) Unregister(ctx context.Context, id string) (bool, error) {
	if err := modules.CheckID("id", id); err != nil {
		return false, wrap("unregister", err)
	}
	tag, err := c.db.Exec(ctx, "delete from registry.agents where id = $1", id)
	return tag.RowsAffected() > 0, wrap("unregister", err)
}

// The statement locks both rows, and judges the locked rows again: an agent that gets work
// concurrently stays.
const deleteStaleSQL = `
with stale as (
    select a.tenant_id, a.id
    from registry.agents a join registry.agent_load l on l.tenant_id = a.tenant_id and l.agent_id = a.id
    where a.last_active_at < now() - $1::interval and l.active_tasks = 0 and l.queued_tasks = 0
    order by a.id
    for update of a for update of l
)
delete from registry.agents a using stale where a.tenant_id = stale.tenant_id and a.id = stale.id`

// DeleteStale deletes the agents without activity for longer than threshold and with neither
// active nor queued tasks, and returns the count.
func (c *Client) DeleteStale(ctx context.Context, threshold time.Duration) (int64, error) {
	err := modules.FirstError(modules.Check("threshold", "must be more than 0", threshold > 0), modules.CheckDuration("threshold", threshold))
	if err != nil {
		return 0, wrap("delete stale", err)
	}
	tag, err := c.db.Exec(ctx, deleteStaleSQL, threshold)
	return tag.RowsAffected(), wrap("delete stale", err)
}
