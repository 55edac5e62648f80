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

-- Rows of all tenants are an operator's to write: a session of a tenant reads them.
-- +goose StatementBegin
create or replace function app.refuse_tenants() returns trigger language plpgsql as $$
begin
    if nullif(current_setting('app.current_tenant', true), '') is not null then
        raise insufficient_privilege using message = 'rows of all tenants are an operator''s to write';
    end if;
    return null;
end $$;
-- +goose StatementEnd

create schema orchestrator;

-- deadline is created_at plus the timeout while a task is queued. Once a worker
-- has claimed it, it is when the claim ends: another may have the task then.
create table orchestrator.tasks (
    tenant_id             text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                    text not null check (length(id) between 1 and 255),
    seq                   bigint not null generated always as identity,
    task_type             text not null check (task_type in ('code-editing', 'code-review', 'analysis', 'research', 'validation', 'general')),
    description           text not null,
    priority              integer not null default 1 check (priority between 1 and 10),
    timeout_ms            bigint not null default 30000 check (timeout_ms > 0),
    attempts              integer not null default 0 check (attempts >= 0),
    max_attempts          integer not null default 3 check (max_attempts >= 1),
    budget_max_files      integer not null default 40 check (budget_max_files > 0),
    budget_max_loc        integer not null default 1500 check (budget_max_loc > 0),
    required_capabilities jsonb not null default '{}',
    task_metadata         jsonb not null default '{}',
    status                text not null default 'queued' check (status in ('queued', 'dequeued', 'completed', 'failed', 'cancelled')),
    dequeued_at           timestamptz,
    completed_at          timestamptz,
    deadline              timestamptz not null,
    claimed_by            text check (length(claimed_by) between 1 and 255),
    last_error            text,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    primary key (tenant_id, id)
);
create index tasks_priority_idx on orchestrator.tasks (tenant_id, priority desc, seq) where status = 'queued';
create index tasks_fifo_idx on orchestrator.tasks (tenant_id, seq) where status = 'queued';
create index tasks_due_idx on orchestrator.tasks (tenant_id, deadline, seq) where status = 'queued';
create index tasks_claimed_idx on orchestrator.tasks (tenant_id, deadline) where status = 'dequeued';
create index tasks_status_idx on orchestrator.tasks (tenant_id, status, completed_at);

-- The agent may be removed later: no key refers to it.
create table orchestrator.assignments (
    tenant_id             text not null default app.current_tenant(),
    id                    text not null check (length(id) between 1 and 255),
    task_id               text not null,
    agent_id              text not null check (length(agent_id) between 1 and 255),
    agent_name            text not null check (length(agent_name) between 1 and 255),
    agent_model_family    text not null check (length(agent_model_family) between 1 and 50),
    assigned_at           timestamptz not null default now(),
    deadline              timestamptz not null,
    assignment_timeout_ms bigint not null check (assignment_timeout_ms > 0),
    routing_confidence    double precision check (routing_confidence between 0 and 1),
    routing_strategy      text not null check (routing_strategy in ('epsilon-greedy', 'ucb', 'capability-match', 'load-balance')),
    routing_reason        text,
    status                text not null default 'assigned' check (status in ('assigned', 'acknowledged', 'executing', 'completed', 'failed', 'cancelled')),
    acknowledged_at       timestamptz,
    started_at            timestamptz,
    completed_at          timestamptz,
    progress              double precision not null default 0 check (progress between 0 and 1),
    last_progress_update  timestamptz not null default now(),
    error_message         text,
    error_code            text check (length(error_code) <= 100),
    assignment_metadata   jsonb not null default '{}',
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, task_id) references orchestrator.tasks on delete cascade,
    check (deadline > assigned_at)
);
create unique index assignments_active_key on orchestrator.assignments (tenant_id, task_id) where status in ('assigned', 'acknowledged', 'executing');
create index assignments_task_idx on orchestrator.assignments (tenant_id, task_id);
create index assignments_agent_idx on orchestrator.assignments (tenant_id, agent_id);
create index assignments_status_idx on orchestrator.assignments (tenant_id, status);
create index assignments_deadline_idx on orchestrator.assignments (tenant_id, deadline) where status in ('assigned', 'acknowledged', 'executing');
create index assignments_created_idx on orchestrator.assignments (tenant_id, created_at desc);

create table orchestrator.executions (
    tenant_id          text not null default app.current_tenant(),
    id                 uuid not null default gen_random_uuid(),
    task_id            text not null,
    assignment_id      text,
    attempt_number     integer not null default 1 check (attempt_number >= 1),
    started_at         timestamptz not null,
    completed_at       timestamptz,
    execution_time_ms  bigint check (execution_time_ms >= 0),
    agent_id           text not null check (length(agent_id) between 1 and 255),
    agent_name         text not null check (length(agent_name) between 1 and 255),
    success            boolean,
    quality_score      double precision check (quality_score between 0 and 1),
    tokens_used        integer check (tokens_used >= 0),
    error_message      text,
    policy_passed      boolean,
    policy_violations  jsonb not null default '[]',
    budget_used_files  integer check (budget_used_files >= 0),
    budget_used_loc    integer check (budget_used_loc >= 0),
    execution_metadata jsonb not null default '{}',
    created_at         timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, task_id) references orchestrator.tasks on delete cascade,
    foreign key (tenant_id, assignment_id) references orchestrator.assignments on delete cascade
);
create index executions_task_idx on orchestrator.executions (tenant_id, task_id, started_at);
create index executions_assignment_idx on orchestrator.executions (tenant_id, assignment_id);
create index executions_agent_idx on orchestrator.executions (tenant_id, agent_id);
create index executions_success_idx on orchestrator.executions (tenant_id, success);
create index executions_started_idx on orchestrator.executions (tenant_id, started_at desc);

create table orchestrator.queue_stats (
    tenant_id                  text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                         uuid not null default gen_random_uuid(),
    recorded_at                timestamptz not null default now(),
    queue_depth                integer not null default 0,
    total_enqueued             bigint not null default 0,
    total_dequeued             bigint not null default 0,
    total_completed            bigint not null default 0,
    total_failed               bigint not null default 0,
    average_wait_time_ms       double precision,
    average_processing_time_ms double precision,
    max_wait_time_ms           bigint,
    priority_distribution      jsonb not null default '{}',
    status_distribution        jsonb not null default '{}',
    primary key (tenant_id, id)
);
create index queue_stats_recorded_idx on orchestrator.queue_stats (tenant_id, recorded_at desc);

-- Of no tenant: what the queues of all tenants are set to. The numbers are used
-- in every enqueue, so that none may be what can't be used.
create table orchestrator.queue_config (
    config_key   text primary key check (length(config_key) between 1 and 100),
    config_value jsonb not null,
    description  text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    updated_by   text,
    constraint queue_config_value_check check (case config_key
        when 'max_capacity' then jsonb_typeof(config_value) = 'number' and (config_value #>> '{}')::numeric between 1 and 2147483647
        when 'default_timeout_ms' then jsonb_typeof(config_value) = 'number' and (config_value #>> '{}')::numeric between 1 and 2147483647
        when 'max_retries' then jsonb_typeof(config_value) = 'number' and (config_value #>> '{}')::numeric between 1 and 2147483647
        when 'priority_mode' then config_value in ('"fifo"', '"priority"', '"deadline"')
        when 'persistence_enabled' then jsonb_typeof(config_value) = 'boolean'
        else true end)
);

create trigger touch_updated_at before update on orchestrator.tasks for each row execute function app.touch_updated_at();
create trigger touch_updated_at before update on orchestrator.assignments for each row execute function app.touch_updated_at();
create trigger touch_updated_at before update on orchestrator.queue_config for each row execute function app.touch_updated_at();
create trigger refuse_tenants before insert or update or delete on orchestrator.queue_config for each statement execute function app.refuse_tenants();

-- The setting is read in a sub-select, so once per statement and not per row;
-- empty means nobody.
-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['tasks', 'assignments', 'executions', 'queue_stats'] loop
        execute format('alter table orchestrator.%I enable row level security', t);
        execute format('alter table orchestrator.%I force row level security', t);
        execute format('create policy tenant_select on orchestrator.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on orchestrator.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on orchestrator.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on orchestrator.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

-- +goose Down
-- The schema app stays: other modules may use it.
drop schema orchestrator cascade;
