-- +goose Up
create schema if not exists app;

-- Every module of the agency brings these two; they are the same in all.
-- STABLE, never IMMUTABLE: a cached plan would keep the first tenant's value.
create or replace function app.current_tenant() returns text language sql stable
    as $$ select nullif(current_setting('app.current_tenant', true), '') $$;

-- +goose StatementBegin
create or replace function app.touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;
-- +goose StatementEnd

create schema registry;

create table registry.agents (
    tenant_id            text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                   text not null check (length(id) between 1 and 255),
    name                 text not null check (length(name) between 1 and 255),
    model_family         text not null check (length(model_family) between 1 and 50),
    max_concurrent_tasks integer not null default 10 check (max_concurrent_tasks > 0),
    registered_at        timestamptz not null default now(),
    last_active_at       timestamptz not null default now(),
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint agents_name_key unique (tenant_id, name)
);
create index agents_last_active_idx on registry.agents (tenant_id, last_active_at desc, id);

create table registry.agent_capabilities (
    tenant_id  text not null default app.current_tenant(),
    agent_id   text not null,
    kind       text not null check (kind in ('task_type', 'language', 'specialization')),
    value      text not null check (length(value) between 1 and 100),
    created_at timestamptz not null default now(),
    primary key (tenant_id, agent_id, kind, value),
    foreign key (tenant_id, agent_id) references registry.agents on delete cascade
);
create index agent_capabilities_value_idx on registry.agent_capabilities (tenant_id, kind, value);

-- The defaults are a prior of weight 0: the first task's figures replace them.
create table registry.agent_performance (
    tenant_id          text not null default app.current_tenant(),
    agent_id           text not null,
    success_rate       double precision not null default 0.8 check (success_rate between 0 and 1),
    average_quality    double precision not null default 0.7 check (average_quality between 0 and 1),
    average_latency_ms double precision not null default 5000 check (average_latency_ms >= 0),
    task_count         bigint not null default 0 check (task_count >= 0),
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    primary key (tenant_id, agent_id),
    foreign key (tenant_id, agent_id) references registry.agents on delete cascade
);
create index agent_performance_success_idx on registry.agent_performance (tenant_id, success_rate desc);

create table registry.performance_events (
    tenant_id     text not null default app.current_tenant(),
    id            uuid not null default gen_random_uuid(),
    agent_id      text not null,
    task_id       text check (task_id <> ''),
    success       boolean not null,
    quality_score double precision not null check (quality_score between 0 and 1),
    latency_ms    bigint not null check (latency_ms >= 0),
    tokens_used   integer check (tokens_used >= 0),
    task_type     text,
    recorded_at   timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, agent_id) references registry.agents on delete cascade
);
create index performance_events_recorded_idx on registry.performance_events (tenant_id, recorded_at desc);
create index performance_events_agent_idx on registry.performance_events (tenant_id, agent_id, recorded_at desc);

create table registry.agent_load (
    tenant_id           text not null default app.current_tenant(),
    agent_id            text not null,
    active_tasks        integer not null default 0 check (active_tasks >= 0),
    queued_tasks        integer not null default 0 check (queued_tasks >= 0),
    utilization_percent double precision not null default 0 check (utilization_percent between 0 and 100),
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    primary key (tenant_id, agent_id),
    foreign key (tenant_id, agent_id) references registry.agents on delete cascade
);
create index agent_load_utilization_idx on registry.agent_load (tenant_id, utilization_percent);

create trigger touch_updated_at before update on registry.agents for each row execute function app.touch_updated_at();
create trigger touch_updated_at before update on registry.agent_performance for each row execute function app.touch_updated_at();
create trigger touch_updated_at before update on registry.agent_load for each row execute function app.touch_updated_at();

-- The setting is read in a sub-select, so once per statement and not per row;
-- empty means nobody.
-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['agents', 'agent_capabilities', 'agent_performance', 'performance_events', 'agent_load'] loop
        execute format('alter table registry.%I enable row level security', t);
        execute format('alter table registry.%I force row level security', t);
        execute format('create policy tenant_select on registry.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on registry.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on registry.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on registry.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

-- security_invoker: a view would read as its owner else.
create view registry.agent_overview with (security_invoker = true) as
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

-- +goose Down
-- The schema app stays: other modules may use it.
drop schema registry cascade;
