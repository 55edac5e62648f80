package agentregistry

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Unregister deletes an agent and all of the agent's rows, and returns false if the agent was
// missing.
func (c *Client) Unregister(ctx context.Context, id string) (bool, error) {
	if err := check.ID("id", id); err != nil {
		return false, wrap("unregister", err)
	}
	tag, err := c.db.Exec(ctx, "delete from registry.agents where id = $1", id)
	return tag.RowsAffected() > 0, wrap("unregister", err)
}

// staleBatch is the largest number of agents that a statement of DeleteStale looks at.
const staleBatch = 500

// The statement looks at the next agents of a range, locks both rows of an agent, and judges the
// locked rows again: an agent that gets work concurrently stays. The range begins behind the last
// agent of the previous statement, and so skips agents that stay, and rows that are deleted. The
// values are hidden: a call that finds nothing would take longer to plan than to execute.
var (
	deleteStaleSQL = `
with looked as materialized (
    select a.tenant_id, a.id, a.last_active_at from registry.agents a
    where a.last_active_at < (select now() - @threshold::interval)%s
    order by a.last_active_at, a.id desc limit %d
), stale as (
    select a.tenant_id, a.id
    from looked k join registry.agents a on a.tenant_id = k.tenant_id and a.id = k.id
    join registry.agent_load l on l.tenant_id = k.tenant_id and l.agent_id = k.id
    where a.last_active_at < (select now() - @threshold::interval) and l.active_tasks = 0 and l.queued_tasks = 0
    order by a.id
    for update of a for update of l
), gone as (
    delete from registry.agents a using stale where a.tenant_id = stale.tenant_id and a.id = stale.id returning a.id
)
select (select count(*) from looked) as looked, (select count(*) from gone) as deleted, last.last_active_at, last.id
from (select) one left join (select k.last_active_at, k.id from looked k order by k.last_active_at desc, k.id limit 1) last on true`
	staleAfterSQL = " and a.last_active_at >= " + hidden("time::timestamptz") + " and (a.last_active_at > " + hidden("time::timestamptz") + " or a.id < " + hidden("id::text") + ")"
)

// DeleteStale deletes the agents without activity for longer than threshold and with neither
// active nor queued tasks, and returns the count. DeleteStale deletes in batches, each in a
// separate transaction: with an error DeleteStale returns the count of the committed batches, and
// a new call goes on.
func (c *Client) DeleteStale(ctx context.Context, threshold time.Duration) (int64, error) {
	err := check.First(check.That("threshold", "must be more than 0", threshold > 0), check.Duration("threshold", threshold))
	if err != nil {
		return 0, wrap("delete stale", err)
	}
	type row struct {
		Looked, Deleted int64
		LastActiveAt    *time.Time
		ID              *string
	}
	var total int64
	after, args := "", pgx.NamedArgs{"threshold": threshold}
	for {
		r, err := store.One[row](ctx, c.db, fmt.Sprintf(deleteStaleSQL, after, staleBatch), args)
		if err != nil {
			return total, wrap("delete stale", err)
		}
		total += r.Deleted
		if r.Looked < staleBatch {
			return total, nil
		}
		after, args["time"], args["id"] = staleAfterSQL, r.LastActiveAt, r.ID
	}
}
