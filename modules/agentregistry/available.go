package agentregistry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const availableSQL = "select " + columns + ` from registry.agent_overview o
where o.utilization_percent < @max::float8 and o.last_active_at > now() - @within::interval
order by o.success_rate desc, o.utilization_percent, o.id`

// Available returns the agents below maxUtilization percent that were active
// within the given time, the most successful first.
func (c *Client) Available(ctx context.Context, maxUtilization float64, within time.Duration) ([]Agent, error) {
	err := firstError(
		checkPercent("max_utilization", maxUtilization),
		check("within", "must be more than 0", within > 0),
	)
	if err != nil {
		return nil, wrap("available", err)
	}
	rows, err := many[overview](ctx, c, availableSQL, pgx.NamedArgs{"max": maxUtilization, "within": within})
	if err != nil {
		return nil, wrap("available", err)
	}
	return agents(rows), nil
}
