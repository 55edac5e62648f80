package agentregistry

import (
	"context"
	"time"
)

// Stats are figures over a tenant's agents. An average over no agents is 0.
type Stats struct {
	TotalAgents        int64     `json:"total_agents"`
	ActiveAgents       int64     `json:"active_agents"` // with active tasks
	IdleAgents         int64     `json:"idle_agents"`
	AverageUtilization float64   `json:"average_utilization"`
	AverageSuccessRate float64   `json:"average_success_rate"`
	AverageQuality     float64   `json:"average_quality"`
	LastUpdated        time.Time `json:"last_updated"` // of the agent last active; zero without agents
}

const statsSQL = `
select coalesce(sum(c.agents), 0)::bigint, coalesce(sum(c.active), 0)::bigint, coalesce(sum(c.agents) - sum(c.active), 0)::bigint,
       coalesce(sum(c.utilization) / nullif(sum(c.agents), 0), 0)::float8, coalesce(sum(c.success) / nullif(sum(c.agents), 0), 0)::float8,
       coalesce(sum(c.quality) / nullif(sum(c.agents), 0), 0)::float8,
       (select a.last_active_at from registry.agents a order by a.last_active_at desc, a.id limit 1)
from registry.agent_counts c`

// Stats returns the figures of the tenant. The figures are exact: a row of the changes is part of
// every write, and Stats adds up the rows.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var last *time.Time
	err := c.db.QueryRow(ctx, statsSQL).Scan(&s.TotalAgents, &s.ActiveAgents, &s.IdleAgents,
		&s.AverageUtilization, &s.AverageSuccessRate, &s.AverageQuality, &last)
	if err != nil {
		return Stats{}, wrap("stats", err)
	}
	if last != nil {
		s.LastUpdated = *last
	}
	return s, nil
}
