package agentregistry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// A walk through the agents in the search's order meets active agents soon, unless few agents are
// active: few active agents are the candidates.
var availableSQL = `
with active as materialized (
    select count(*) as n from (select from registry.agents a where a.last_active_at > now() - @within::interval limit ` + common + ` + 1) a
)
` + overviewSQL(`
    select o.tenant_id, o.id from (
        (select o.* from `+ranks+` o
         where (select n from active) > `+common+` and o.utilization_percent < @max::float8
           and exists (select from registry.agents a where a.tenant_id = o.tenant_id and a.id = o.id and a.last_active_at > now() - @within::interval offset 0)
         order by `+rankOrder+` limit @limit::bigint)
        union all
        (select o.* from registry.agents a, lateral (select * from `+ranks+` o where o.tenant_id = a.tenant_id and o.id = a.id offset 0) o
         where (select n from active) <= `+common+` and a.last_active_at > now() - @within::interval and o.utilization_percent < @max::float8
         order by `+rankOrder+` limit @limit::bigint)
    ) o order by `+rankOrder+` limit @limit::bigint`) + ` order by o.success_rate desc, o.utilization_percent, o.id`

// Available returns the agents below maxUtilization percent with activity within the given
// time, the most successful first, 100 and modules.PageBytes at most.
func (c *Client) Available(ctx context.Context, maxUtilization float64, within time.Duration) ([]Agent, error) {
	err := modules.FirstError(
		checkPercent("max_utilization", maxUtilization),
		modules.Check("within", "must be more than 0", within > 0),
		modules.CheckDuration("within", within),
	)
	if err != nil {
		return nil, wrap("available", err)
	}
	rows, _, err := modules.Bounded[overview](ctx, c.db, availableSQL, pgx.NamedArgs{"max": maxUtilization, "within": within, "limit": findLimit})
	if err != nil {
		return nil, wrap("available", err)
	}
	return agents(rows), nil
}
