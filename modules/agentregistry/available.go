package agentregistry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

func availableSQL() string {
	active := wish{"registry.agents c where c.last_active_at > (select now() - @within::interval)", "c.id"}
	return overviewSQL(rankedSQL("o.utilization_percent < "+hidden("max::float8"), []wish{active}, findLimit)) +
		" order by o.success_rate desc, o.utilization_percent, o.id"
}

// Available returns the agents below maxUtilization percent with activity within the given
// time, the most successful first, 100 and modules.PageBytes at most.
func (c *Client) Available(ctx context.Context, maxUtilization float64, within time.Duration) ([]Agent, error) {
	err := check.First(
		checkPercent("max_utilization", maxUtilization),
		check.That("within", "must be more than 0", within > 0),
		check.Duration("within", within),
	)
	if err != nil {
		return nil, wrap("available", err)
	}
	rows, _, err := store.Bounded[overview](ctx, c.db, availableSQL(), pgx.NamedArgs{"max": maxUtilization, "within": within, "first": findLimit})
	if err != nil {
		return nil, wrap("available", err)
	}
	return agents(rows), nil
}
