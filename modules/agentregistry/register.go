package agentregistry

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

// A single statement writes all of an agent or nothing, in the same round trip. The server
// checks keys at the statement's end, so the parts may be in any order.
const registerSQL = `
with agent as (
    insert into registry.agents (id, name, model_family, max_concurrent_tasks, registered_at, last_active_at)
    values (@id, @name, @model_family, @capacity::int, coalesce(@registered_at::timestamptz, now()), coalesce(@last_active_at::timestamptz, now()))
    returning tenant_id, id
), capabilities as (
    insert into registry.agent_capabilities (tenant_id, agent_id, kind, value)
    select distinct agent.tenant_id, agent.id, w.kind, w.value from agent, unnest(@kinds::text[], @values::text[]) as w(kind, value)
), performance as (
    insert into registry.agent_performance (tenant_id, agent_id, success_rate, average_quality, average_latency_ms, task_count)
    select tenant_id, id, @success_rate::float8, @average_quality::float8, @average_latency_ms::float8, @task_count::bigint from agent
)
insert into registry.agent_load (tenant_id, agent_id, active_tasks, queued_tasks, utilization_percent, success_order)
select tenant_id, id, @active_tasks::int, @queued_tasks::int, least(100, @active_tasks::int * 100.0 / @capacity::int), -@success_rate::float8 from agent`

// Register adds an agent. Capabilities given twice count once; the registry computes the
// utilisation; a zero Performance is the prior, zero times are now. Register fails with
// ErrAgentExists if the tenant has an agent with the same id or name, and with a
// modules.ErrInvalid that names the field.
func (c *Client) Register(ctx context.Context, a Agent) error {
	if err := a.validate(); err != nil {
		return wrap("register", err)
	}
	p := a.Performance
	if p == (Performance{}) {
		p = Performance{SuccessRate: priorSuccessRate, AverageQuality: priorQuality, AverageLatencyMS: priorLatencyMS}
	}
	kinds, values := a.Capabilities.columns()
	_, err := c.db.Exec(ctx, registerSQL, pgx.NamedArgs{
		"id": a.ID, "name": a.Name, "model_family": a.ModelFamily,
		"capacity":      cmp.Or(a.MaxConcurrentTasks, DefaultMaxConcurrentTasks),
		"registered_at": sqlarg.OrNull(a.RegisteredAt), "last_active_at": sqlarg.OrNull(a.LastActiveAt),
		"kinds": kinds, "values": values,
		"success_rate": p.SuccessRate, "average_quality": p.AverageQuality,
		"average_latency_ms": p.AverageLatencyMS, "task_count": p.TaskCount,
		"active_tasks": a.Load.ActiveTasks, "queued_tasks": a.Load.QueuedTasks,
	})
	return wrap("register", err)
}
