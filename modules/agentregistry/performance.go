package agentregistry

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Metrics are the outcome of one task.
type Metrics struct {
	Success      bool    `json:"success"`
	QualityScore float64 `json:"quality_score"` // 0 to 1
	LatencyMS    int64   `json:"latency_ms"`
	TokensUsed   *int    `json:"tokens_used"`
	TaskType     *string `json:"task_type"`
	TaskID       *string `json:"task_id"`
}

func (m Metrics) validate() error {
	err := checkShare("quality_score", m.QualityScore)
	if m.TaskType != nil {
		err = firstError(err, checkText("task_type", *m.TaskType, 100))
	}
	if m.TaskID != nil {
		err = firstError(err, checkText("task_id", *m.TaskID, 255))
	}
	switch {
	case err != nil:
		return err
	case m.LatencyMS < 0:
		return modules.Invalid("latency_ms", "must not be negative")
	case m.TokensUsed != nil && (*m.TokensUsed < 0 || *m.TokensUsed > math.MaxInt32):
		return modules.Invalid("tokens_used", "must be from 0 to 2147483647")
	}
	return nil
}

// The averages move by what the row holds when it is locked, so concurrent calls
// lose nothing.
const recordSQL = `
with averages as (
    update registry.agent_performance set
        success_rate       = (success_rate       * task_count + @success::bool::int)    / (task_count + 1),
        average_quality    = (average_quality    * task_count + @quality_score::float8) / (task_count + 1),
        average_latency_ms = (average_latency_ms * task_count + @latency_ms::bigint)    / (task_count + 1),
        task_count         = task_count + 1
    where agent_id = @id
    returning tenant_id, agent_id, success_rate, average_quality, average_latency_ms, task_count
), event as (
    insert into registry.performance_events (tenant_id, agent_id, task_id, success, quality_score, latency_ms, tokens_used, task_type)
    select tenant_id, agent_id, @task_id::text, @success::bool, @quality_score::float8, @latency_ms::bigint, @tokens_used::int, @task_type::text
    from averages
), active as (
    update registry.agents a set last_active_at = now() from averages u where a.tenant_id = u.tenant_id and a.id = u.agent_id
)
select success_rate, average_quality, average_latency_ms as average_latency_ms, task_count from averages`

// RecordPerformance adds a task's outcome to the agent's averages and its
// history, and marks it active. It returns the new averages. A missing agent is
// ErrAgentNotFound, and nothing is written.
func (c *Client) RecordPerformance(ctx context.Context, id string, m Metrics) (Performance, error) {
	if err := firstError(checkText("id", id, 255), m.validate()); err != nil {
		return Performance{}, wrap("record performance", err)
	}
	var p Performance
	err := c.db.QueryRow(c.scope(ctx), recordSQL, pgx.NamedArgs{
		"id": id, "success": m.Success, "quality_score": m.QualityScore, "latency_ms": m.LatencyMS,
		"tokens_used": m.TokensUsed, "task_type": m.TaskType, "task_id": m.TaskID,
	}).Scan(&p.SuccessRate, &p.AverageQuality, &p.AverageLatencyMS, &p.TaskCount)
	if err != nil {
		return Performance{}, wrap("record performance", err)
	}
	return p, nil
}

const adjustSQL = `
update registry.agent_load l set
    active_tasks        = greatest(0, l.active_tasks + @active::int),
    queued_tasks        = greatest(0, l.queued_tasks + @queued::int),
    utilization_percent = least(100, greatest(0, l.active_tasks + @active::int) * 100.0 / a.max_concurrent_tasks)
from registry.agents a
where a.tenant_id = l.tenant_id and a.id = l.agent_id and l.agent_id = @id
returning l.active_tasks, l.queued_tasks, l.utilization_percent`

// AdjustLoad adds to the agent's counters, which stop at 0, and returns them
// with the utilisation of its capacity. A missing agent is ErrAgentNotFound.
func (c *Client) AdjustLoad(ctx context.Context, id string, activeDelta, queuedDelta int) (Load, error) {
	err := checkText("id", id, 255)
	if err == nil && (activeDelta != int(int32(activeDelta)) || queuedDelta != int(int32(queuedDelta))) {
		err = modules.Invalid("delta", "must be of 32 bits")
	}
	if err != nil {
		return Load{}, wrap("adjust load", err)
	}
	l, err := one[Load](ctx, c, adjustSQL, pgx.NamedArgs{"id": id, "active": activeDelta, "queued": queuedDelta})
	return l, wrap("adjust load", err)
}
