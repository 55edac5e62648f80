-- +goose Up
-- A search's order. The success rate is negated: all columns ascend, and a page
-- begins with a single range of the index.
alter table registry.agent_load add column success_order double precision not null default -0.8 check (success_order between -1 and 0);
create index agent_load_rank_idx on registry.agent_load (tenant_id, success_order, utilization_percent, agent_id);
drop index registry.agent_load_utilization_idx;
drop index registry.agent_performance_success_idx;
-- With the agent, the index alone answers who has a capability.
drop index registry.agent_capabilities_value_idx;
create index agent_capabilities_value_idx on registry.agent_capabilities (tenant_id, kind, value, agent_id);

-- The sums of an agent's events by task type; '' stands for an event without a type.
create table registry.agent_task_stats (
    tenant_id   text not null default app.current_tenant(),
    agent_id    text not null,
    task_type   text not null,
    tasks       bigint not null,
    successes   bigint not null,
    quality     double precision not null,
    latency_ms  double precision not null,
    primary key (tenant_id, agent_id, task_type),
    foreign key (tenant_id, agent_id) references registry.agents on delete cascade
);

-- The tenant's figures are the sums over all rows. A writer adds a row of the
-- changes, and updates no row: writers never wait for each other.
create table registry.agent_counts (
    tenant_id   text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id          bigint not null generated always as identity,
    agents      bigint not null,
    active      bigint not null,
    utilization numeric not null,
    success     numeric not null,
    quality     numeric not null,
    primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

-- Sums up rows, and leaves out the rows of concurrent folds. The rows are the newest,
-- and at times all: beside a long snapshot the older part of the index is dead rows.
-- +goose StatementBegin
create function registry.fold_agent_counts() returns void language plpgsql as $$
declare
    oldest constant bigint := case when random() < 0.02 then 0 else (select max(id) from registry.agent_counts) - 20000 end;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return; -- a row that a concurrent fold deleted would fail the transaction
    end if;
    with taken as materialized (
        select tenant_id, id from registry.agent_counts where id > oldest order by id limit 1000 for update skip locked
    ), gone as (
        delete from registry.agent_counts c using taken where c.tenant_id = taken.tenant_id and c.id = taken.id returning c.*
    )
    insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
    select tenant_id, sum(agents), sum(active), sum(utilization), sum(success), sum(quality) from gone group by tenant_id;
end $$;

create function registry.count_load() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, count(*), count(*) filter (where active_tasks > 0), sum(utilization_percent::numeric), 0, 0
        from new_rows group by tenant_id;
    elsif tg_op = 'DELETE' then
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, -count(*), -count(*) filter (where active_tasks > 0), -sum(utilization_percent::numeric), 0, 0
        from old_rows group by tenant_id;
    else
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, 0, coalesce(sum(sign) filter (where active_tasks > 0), 0), sum(sign * utilization_percent::numeric), 0, 0
        from (select 1 as sign, * from new_rows union all select -1, * from old_rows) r
        group by tenant_id
        having sum(sign) filter (where active_tasks > 0) <> 0 or sum(sign * utilization_percent::numeric) <> 0;
    end if;
    if random() < 0.02 then
        perform registry.fold_agent_counts();
    end if;
    return null;
end $$;

create function registry.count_performance() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, 0, 0, 0, sum(success_rate::numeric), sum(average_quality::numeric) from new_rows group by tenant_id;
    elsif tg_op = 'DELETE' then
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, 0, 0, 0, -sum(success_rate::numeric), -sum(average_quality::numeric) from old_rows group by tenant_id;
    else
        insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
        select tenant_id, 0, 0, 0, sum(sign * success_rate::numeric), sum(sign * average_quality::numeric)
        from (select 1 as sign, * from new_rows union all select -1, * from old_rows) r
        group by tenant_id
        having sum(sign * success_rate::numeric) <> 0 or sum(sign * average_quality::numeric) <> 0;
    end if;
    if random() < 0.02 then
        perform registry.fold_agent_counts();
    end if;
    return null;
end $$;

-- Derives all of the above from the agents and the events, for an operator who has
-- restored rows without triggers. A role that is bound by policies derives the
-- current tenant's part.
create function registry.recount() returns void language plpgsql as $$
begin
    lock table registry.agents, registry.agent_load, registry.agent_performance, registry.performance_events in share row exclusive mode;
    update registry.agent_load l set success_order = -p.success_rate
    from registry.agent_performance p
    where p.tenant_id = l.tenant_id and p.agent_id = l.agent_id and l.success_order <> -p.success_rate;
    delete from registry.agent_task_stats;
    insert into registry.agent_task_stats (tenant_id, agent_id, task_type, tasks, successes, quality, latency_ms)
    select tenant_id, agent_id, coalesce(task_type, ''), count(*), count(*) filter (where success), sum(quality_score), sum(latency_ms)
    from registry.performance_events group by tenant_id, agent_id, coalesce(task_type, '');
    delete from registry.agent_counts;
    insert into registry.agent_counts (tenant_id, agents, active, utilization, success, quality)
    select l.tenant_id, count(*), count(*) filter (where l.active_tasks > 0), sum(l.utilization_percent::numeric),
           sum(p.success_rate::numeric), sum(p.average_quality::numeric)
    from registry.agent_load l join registry.agent_performance p on p.tenant_id = l.tenant_id and p.agent_id = l.agent_id
    group by l.tenant_id;
end $$;

-- The function locks tables, and so stops the writers of all tenants.
revoke execute on function registry.recount from public;

-- The tables' owner meets the policies too, and would find no rows.
do $$
declare
    t text;
begin
    foreach t in array array['agents', 'agent_load', 'agent_performance', 'performance_events'] loop
        execute format('alter table registry.%I no force row level security', t);
    end loop;
    alter table registry.agent_load disable trigger touch_updated_at;
    perform registry.recount();
    alter table registry.agent_load enable trigger touch_updated_at;
    foreach t in array array['agents', 'agent_load', 'agent_performance', 'performance_events'] loop
        execute format('alter table registry.%I force row level security', t);
    end loop;
end $$;

do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['agent_task_stats', 'agent_counts'] loop
        execute format('alter table registry.%I enable row level security', t);
        execute format('alter table registry.%I force row level security', t);
        execute format('create policy tenant_select on registry.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on registry.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on registry.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on registry.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

create trigger count_inserted after insert on registry.agent_load referencing new table as new_rows
    for each statement execute function registry.count_load();
create trigger count_updated after update on registry.agent_load referencing old table as old_rows new table as new_rows
    for each statement execute function registry.count_load();
create trigger count_deleted after delete on registry.agent_load referencing old table as old_rows
    for each statement execute function registry.count_load();
create trigger count_inserted after insert on registry.agent_performance referencing new table as new_rows
    for each statement execute function registry.count_performance();
create trigger count_updated after update on registry.agent_performance referencing old table as old_rows new table as new_rows
    for each statement execute function registry.count_performance();
create trigger count_deleted after delete on registry.agent_performance referencing old table as old_rows
    for each statement execute function registry.count_performance();

-- +goose Down
drop trigger count_inserted on registry.agent_load;
drop trigger count_updated on registry.agent_load;
drop trigger count_deleted on registry.agent_load;
drop trigger count_inserted on registry.agent_performance;
drop trigger count_updated on registry.agent_performance;
drop trigger count_deleted on registry.agent_performance;
drop function registry.count_load, registry.count_performance, registry.fold_agent_counts, registry.recount;
drop table registry.agent_counts, registry.agent_task_stats;
drop index registry.agent_capabilities_value_idx;
create index agent_capabilities_value_idx on registry.agent_capabilities (tenant_id, kind, value);
create index agent_load_utilization_idx on registry.agent_load (tenant_id, utilization_percent);
create index agent_performance_success_idx on registry.agent_performance (tenant_id, success_rate desc);
alter table registry.agent_load drop column success_order;
