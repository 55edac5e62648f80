package agentregistry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// TaskStats are figures over an agent's recorded tasks.
type TaskStats struct {
	Count        int64   `json:"count"`
	SuccessRate  float64 `json:"success_rate"`
	AvgLatencyMS float64 `json:"avg_latency_ms"`
	AvgQuality   float64 `json:"avg_quality"`
}

// AgentStats are an agent's figures, over all tasks and by task type. Tasks
// recorded without a type are under "".
type AgentStats struct {
	Total      TaskStats            `json:"total"`
	ByTaskType map[string]TaskStats `json:"by_task_type"`
}

// The grouping sets give a row for each type and a row for all types. The join keeps an agent
// without tasks, so no row at all means no agent.
const agentStatsSQL = `
select grouping(e.task_type) = 1 as total, coalesce(e.task_type, '') as task_type, count(e.id) as count,
       coalesce(avg(e.success::int), 0)::float8 as success_rate, coalesce(avg(e.latency_ms), 0)::float8 as avg_latency_ms,
       coalesce(avg(e.quality_score), 0)::float8 as avg_quality
from registry.agents a
left join registry.performance_events e on e.tenant_id = a.tenant_id and e.agent_id = a.id
where a.id = @id
group by grouping sets ((a.id), (a.id, e.task_type))`

// AgentStats returns the agent's figures from the agent's recorded tasks, or ErrAgentNotFound.
func (c *Client) AgentStats(ctx context.Context, id string) (AgentStats, error) {
	if err := modules.CheckID("id", id); err != nil {
		return AgentStats{}, wrap("agent stats", err)
	}
	type row struct {
		Total                                 bool
		TaskType                              string
		Count                                 int64
		SuccessRate, AvgLatencyMs, AvgQuality float64
	}
	rows, err := modules.Many[row](ctx, c.db, agentStatsSQL, pgx.NamedArgs{"id": id})
	if err == nil && len(rows) == 0 {
		err = ErrAgentNotFound
	}
	if err != nil {
		return AgentStats{}, wrap("agent stats", err)
	}
	out := AgentStats{ByTaskType: map[string]TaskStats{}}
	for _, r := range rows {
		s := TaskStats{r.Count, r.SuccessRate, r.AvgLatencyMs, r.AvgQuality}
		switch {
		case r.Total:
			out.Total = s
		case r.Count > 0:
			out.ByTaskType[r.TaskType] = s
		}
	}
	return out, nil
}
