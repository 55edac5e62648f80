package agentregistry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// TaskStats are figures over an agent's recorded tasks.
type TaskStats struct {
	Count        int64   `json:"count"`
	SuccessRate  float64 `json:"success_rate"`
	AvgLatencyMS float64 `json:"avg_latency_ms"`
	AvgQuality   float64 `json:"avg_quality"`
}

// AgentStats are an agent's figures, over all tasks and by task type. Tasks recorded without a
// type are under "". ByTaskType has modules.MaxPage types at most: the types with the most tasks.
type AgentStats struct {
	Total      TaskStats            `json:"total"`
	ByTaskType map[string]TaskStats `json:"by_task_type"`
}

// The left join keeps an agent without tasks, so no row at all means no agent.
const agentStatsSQL = `
select s.task_type, coalesce(s.tasks, 0) as tasks, coalesce(s.successes, 0) as successes,
       coalesce(s.quality, 0) as quality, coalesce(s.latency_ms, 0) as latency_ms
from registry.agents a
left join registry.agent_task_stats s on s.tenant_id = a.tenant_id and s.agent_id = a.id
where a.id = @id
order by s.tasks desc, s.task_type`

// taskSums are the sums over tasks.
type taskSums struct {
	Tasks, Successes   int64
	Quality, LatencyMs float64
}

func (s taskSums) plus(t taskSums) taskSums {
	return taskSums{s.Tasks + t.Tasks, s.Successes + t.Successes, s.Quality + t.Quality, s.LatencyMs + t.LatencyMs}
}

func (s taskSums) stats() TaskStats {
	if s.Tasks == 0 {
		return TaskStats{}
	}
	n := float64(s.Tasks)
	return TaskStats{s.Tasks, float64(s.Successes) / n, s.LatencyMs / n, s.Quality / n}
}

// AgentStats returns the agent's figures over all tasks that RecordPerformance has recorded, or
// ErrAgentNotFound. The figures are exact: RecordPerformance keeps the sums with the agent.
func (c *Client) AgentStats(ctx context.Context, id string) (AgentStats, error) {
	if err := check.ID("id", id); err != nil {
		return AgentStats{}, wrap("agent stats", err)
	}
	type row struct {
		TaskType *string
		taskSums
	}
	rows, err := store.Many[row](ctx, c.db, agentStatsSQL, pgx.NamedArgs{"id": id})
	if err == nil && len(rows) == 0 {
		err = ErrAgentNotFound
	}
	if err != nil {
		return AgentStats{}, wrap("agent stats", err)
	}
	out := AgentStats{ByTaskType: map[string]TaskStats{}}
	var total taskSums
	for _, r := range rows {
		if r.TaskType != nil && len(out.ByTaskType) < modules.MaxPage {
			out.ByTaskType[*r.TaskType] = r.stats()
		}
		total = total.plus(r.taskSums)
	}
	out.Total = total.stats()
	return out, nil
}
