package agentregistry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
)

// Metrics are the outcome of a task.
type Metrics struct {
	Success      bool    `json:"success"`
	QualityScore float64 `json:"quality_score"` // 0 to 1
	LatencyMS    int64   `json:"latency_ms"`
	TokensUsed   *int    `json:"tokens_used"`
	TaskType     *string `json:"task_type"`
	TaskID       *string `json:"task_id"`
}

func (m Metrics) validate() error {
	err := check.First(
		check.Share("quality_score", m.QualityScore),
		check.Milliseconds("latency_ms", float64(m.LatencyMS)),
	)
	if m.TokensUsed != nil {
		err = check.First(err, check.Int32("tokens_used", *m.TokensUsed, 0))
	}
	if m.TaskType != nil {
		err = check.First(err, check.Text("task_type", *m.TaskType, 100))
	}
	if m.TaskID != nil {
		err = check.First(err, check.Text("task_id", *m.TaskID, 255))
	}
	return err
}

// The statement computes the averages from the locked row, so concurrent calls lose nothing.
// The statement locks the agent's own row first, as every writing statement does: writers wait
// for each other at the agent's row, without a deadlock.
const recordSQL = `
with agent as (
    update registry.agents set last_active_at = now() where id = @id returning tenant_id, id
), averages as (
    update registry.agent_performance p set
        success_rate       = (p.success_rate       * p.task_count + @success::bool::int)    / (p.task_count + 1),
        average_quality    = (p.average_quality    * p.task_count + @quality_score::float8) / (p.task_count + 1),
        average_latency_ms = (p.average_latency_ms * p.task_count + @latency_ms::bigint)    / (p.task_count + 1),
        task_count         = p.task_count + 1
    from agent where p.tenant_id = agent.tenant_id and p.agent_id = agent.id
    returning p.tenant_id, p.agent_id, p.success_rate, p.average_quality, p.average_latency_ms, p.task_count
), event as (
    insert into registry.performance_events (tenant_id, agent_id, task_id, success, quality_score, latency_ms, tokens_used, task_type)
    select tenant_id, agent_id, @task_id::text, @success::bool, @quality_score::float8, @latency_ms::bigint, @tokens_used::int, @task_type::text
    from averages
), ranked as (
    update registry.agent_load l set success_order = -averages.success_rate
    from averages where l.tenant_id = averages.tenant_id and l.agent_id = averages.agent_id
), stats as (
    insert into registry.agent_task_stats as s (tenant_id, agent_id, task_type, tasks, successes, quality, latency_ms)
    select tenant_id, agent_id, coalesce(@task_type::text, ''), 1, @success::bool::int, @quality_score::float8, @latency_ms::bigint from averages
    on conflict (tenant_id, agent_id, task_type) do update set
        tasks = s.tasks + 1, successes = s.successes + excluded.successes, quality = s.quality + excluded.quality, latency_ms = s.latency_ms + excluded.latency_ms
)
select success_rate, average_quality, average_latency_ms, task_count from averages`

// RecordPerformance adds a task's outcome to the agent's averages and history, marks the agent
// active, and returns the new averages. A missing agent is ErrAgentNotFound, and nothing is
// written.
func (c *Client) RecordPerformance(ctx context.Context, id string, m Metrics) (Performance, error) {
	if err := check.First(check.ID("id", id), m.validate()); err != nil {
		return Performance{}, wrap("record performance", err)
	}
	var p Performance
	err := c.db.QueryRow(ctx, recordSQL, pgx.NamedArgs{
		"id": id, "success": m.Success, "quality_score": m.QualityScore, "latency_ms": m.LatencyMS,
		"tokens_used": m.TokensUsed, "task_type": m.TaskType, "task_id": m.TaskID,
	}).Scan(&p.SuccessRate, &p.AverageQuality, &p.AverageLatencyMS, &p.TaskCount)
	if err != nil {
		return Performance{}, wrap("record performance", err)
	}
	return p, nil
}
