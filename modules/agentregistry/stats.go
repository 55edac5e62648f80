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
select count(*), count(*) filter (where active_tasks > 0), count(*) filter (where active_tasks = 0),
       coalesce(avg(utilization_percent), 0), coalesce(avg(success_rate), 0), coalesce(avg(average_quality), 0), max(last_active_at)
from registry.agent_overview`

// Stats returns the figures of the tenant.
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
