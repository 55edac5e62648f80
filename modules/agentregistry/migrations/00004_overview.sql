-- +goose Up
-- A row reads the capabilities of an agent once, and not once for each kind. The index has the
-- order.
create view registry.agent_details with (security_invoker = true) as
select p.tenant_id, p.agent_id, c.task_types, c.languages, c.specializations,
       p.success_rate, p.average_quality, p.average_latency_ms, p.task_count,
       l.active_tasks, l.queued_tasks, l.utilization_percent
from registry.agent_performance p
join registry.agent_load l on l.tenant_id = p.tenant_id and l.agent_id = p.agent_id
cross join lateral (
    select coalesce(array_agg(c.value) filter (where c.kind = 'task_type'), '{}') as task_types,
           coalesce(array_agg(c.value) filter (where c.kind = 'language'), '{}') as languages,
           coalesce(array_agg(c.value) filter (where c.kind = 'specialization'), '{}') as specializations
    from (select c.kind, c.value from registry.agent_capabilities c
          where c.tenant_id = p.tenant_id and c.agent_id = p.agent_id order by c.kind, c.value) c
) c;

create or replace view registry.agent_overview with (security_invoker = true) as
select a.tenant_id, a.id, a.name, a.model_family, a.max_concurrent_tasks, a.registered_at, a.last_active_at,
       d.task_types, d.languages, d.specializations,
       d.success_rate, d.average_quality, d.average_latency_ms, d.task_count,
       d.active_tasks, d.queued_tasks, d.utilization_percent
from registry.agents a
join registry.agent_details d on d.tenant_id = a.tenant_id and d.agent_id = a.id;

-- +goose Down
create or replace view registry.agent_overview with (security_invoker = true) as
select a.tenant_id, a.id, a.name, a.model_family, a.max_concurrent_tasks, a.registered_at, a.last_active_at,
       array(select c.value from registry.agent_capabilities c
             where c.tenant_id = a.tenant_id and c.agent_id = a.id and c.kind = 'task_type' order by c.value)::text[] as task_types,
       array(select c.value from registry.agent_capabilities c
             where c.tenant_id = a.tenant_id and c.agent_id = a.id and c.kind = 'language' order by c.value)::text[] as languages,
       array(select c.value from registry.agent_capabilities c
             where c.tenant_id = a.tenant_id and c.agent_id = a.id and c.kind = 'specialization' order by c.value)::text[] as specializations,
       p.success_rate, p.average_quality, p.average_latency_ms, p.task_count,
       l.active_tasks, l.queued_tasks, l.utilization_percent
from registry.agents a
join registry.agent_performance p on p.tenant_id = a.tenant_id and p.agent_id = a.id
join registry.agent_load l on l.tenant_id = a.tenant_id and l.agent_id = a.id;
drop view registry.agent_details;
