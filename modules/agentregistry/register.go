package agentregistry

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// One statement: all of an agent or nothing, in one round trip. Keys are checked
// at its end, so the parts may be in any order.
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
insert into registry.agent_load (tenant_id, agent_id, active_tasks, queued_tasks, utilization_percent)
select tenant_id, id, @active_tasks::int, @queued_tasks::int, least(100, @active_tasks::int * 100.0 / @capacity::int) from agent`

// Register adds an agent. Capabilities given twice count once; utilisation is
// computed; a zero Performance is the prior, zero times are now. It fails with
// ErrAgentExists when the tenant has an agent of this id or name, and with a
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
	_, err := c.db.Exec(c.scope(ctx), registerSQL, pgx.NamedArgs{
		"id": a.ID, "name": a.Name, "model_family": a.ModelFamily,
		"capacity":      cmp.Or(a.MaxConcurrentTasks, DefaultMaxConcurrentTasks),
		"registered_at": orNull(a.RegisteredAt), "last_active_at": orNull(a.LastActiveAt),
		"kinds": kinds, "values": values,
		"success_rate": p.SuccessRate, "average_quality": p.AverageQuality,
		"average_latency_ms": p.AverageLatencyMS, "task_count": p.TaskCount,
		"active_tasks": a.Load.ActiveTasks, "queued_tasks": a.Load.QueuedTasks,
	})
	return wrap("register", err)
}

// orNull sends a zero time as null, so that the server's clock decides.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Patch says what Update changes; nil fields stay.
type Patch struct {
	Name               *string
	MaxConcurrentTasks *int
	LastActiveAt       *time.Time
	Capabilities       *Capabilities // replaces the whole set
}

// What is wanted already stays: a delete and an insert of the same row in one
// statement don't see each other.
const updateSQL = `
with agent as (
    update registry.agents set
        name                 = coalesce(@name::text, name),
        max_concurrent_tasks = coalesce(@capacity::int, max_concurrent_tasks),
        last_active_at       = coalesce(@last_active_at::timestamptz, last_active_at)
    where id = @id
    returning tenant_id, id, max_concurrent_tasks
), wanted as (
    select distinct kind, value from unnest(@kinds::text[], @values::text[]) as w(kind, value)
), removed as (
    delete from registry.agent_capabilities c using agent
    where @replace::bool and c.tenant_id = agent.tenant_id and c.agent_id = agent.id
      and not exists (select from wanted w where w.kind = c.kind and w.value = c.value)
), added as (
    insert into registry.agent_capabilities (tenant_id, agent_id, kind, value)
    select agent.tenant_id, agent.id, w.kind, w.value from agent, wanted w where @replace::bool
    on conflict do nothing
), load as (
    update registry.agent_load l set utilization_percent = least(100, l.active_tasks * 100.0 / agent.max_concurrent_tasks)
    from agent where l.tenant_id = agent.tenant_id and l.agent_id = agent.id
)
select count(*) from agent`

// Update changes what the patch names. A missing agent is ErrAgentNotFound, a
// name that another agent has ErrAgentExists.
func (c *Client) Update(ctx context.Context, id string, patch Patch) error {
	args := pgx.NamedArgs{
		"id": id, "name": patch.Name, "capacity": patch.MaxConcurrentTasks, "last_active_at": patch.LastActiveAt,
		"replace": patch.Capabilities != nil, "kinds": []string{}, "values": []string{},
	}
	err := checkText("id", id, 255)
	if err == nil && patch.Name != nil {
		err = checkText("name", *patch.Name, 255)
	}
	if err == nil && patch.MaxConcurrentTasks != nil && *patch.MaxConcurrentTasks <= 0 {
		err = modules.Invalid("max_concurrent_tasks", "must be more than 0")
	}
	if err == nil && patch.Capabilities != nil {
		err = patch.Capabilities.validate()
		args["kinds"], args["values"] = patch.Capabilities.columns()
	}
	if err != nil {
		return wrap("update", err)
	}
	var found int
	err = c.db.QueryRow(c.scope(ctx), updateSQL, args).Scan(&found)
	if err == nil && found == 0 {
		err = ErrAgentNotFound
	}
	return wrap("update", err)
}

// Unregister deletes an agent and all that belongs to it. It returns false when
// there was none.
func (c *Client) Unregister(ctx context.Context, id string) (bool, error) {
	if err := checkText("id", id, 255); err != nil {
		return false, wrap("unregister", err)
	}
	tag, err := c.db.Exec(c.scope(ctx), "delete from registry.agents where id = $1", id)
	return tag.RowsAffected() > 0, wrap("unregister", err)
}

// The lock holds off work that is being given to an agent while it is judged.
const deleteStaleSQL = `
with idle as (
    select tenant_id, agent_id from registry.agent_load where active_tasks = 0 and queued_tasks = 0 for update
)
delete from registry.agents a using idle
where a.tenant_id = idle.tenant_id and a.id = idle.agent_id and a.last_active_at < now() - $1::interval`

// DeleteStale deletes the agents that have not been active for longer than
// threshold and have neither active nor queued tasks. It returns how many.
func (c *Client) DeleteStale(ctx context.Context, threshold time.Duration) (int64, error) {
	if threshold <= 0 {
		return 0, wrap("delete stale", modules.Invalid("threshold", "must be more than 0"))
	}
	tag, err := c.db.Exec(c.scope(ctx), deleteStaleSQL, threshold)
	return tag.RowsAffected(), wrap("delete stale", err)
}
