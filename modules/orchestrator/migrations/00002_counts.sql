-- +goose Up
-- A page of active assignments is a range of an index, whatever the filter.
drop index orchestrator.assignments_deadline_idx;
create index assignments_deadline_idx on orchestrator.assignments (tenant_id, deadline, id) where status in ('assigned', 'acknowledged', 'executing');
drop index orchestrator.assignments_status_idx;
create index assignments_status_idx on orchestrator.assignments (tenant_id, status, deadline, id) where status in ('assigned', 'acknowledged', 'executing');
create index assignments_agent_active_idx on orchestrator.assignments (tenant_id, agent_id, deadline, id) where status in ('assigned', 'acknowledged', 'executing');

-- The queued tasks that a worker has had before: a claim that goes on where the last
-- claim ended looks here for what lies behind it.
create index tasks_again_idx on orchestrator.tasks (tenant_id, priority, seq) where status = 'queued' and attempts > 0;

-- A claim walks through the head of an index: the rows that claims and purges have
-- left there go early.
alter table orchestrator.tasks set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02);
alter table orchestrator.assignments set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
alter table orchestrator.executions set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- A tenant's figures are the sums over all rows, by status and priority. A writer
-- adds rows of the changes, and updates no row: writers never wait for each other.
-- Times are in microseconds. longest is a maximum, and stays when tasks go.
create table orchestrator.task_counts (
    tenant_id  text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id         bigint not null generated always as identity,
    status     text not null,
    priority   integer not null,
    tasks      bigint not null,
    claimed    bigint not null,
    waited     numeric not null,
    longest    numeric not null,
    processed  bigint not null,
    processing numeric not null,
    primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

-- +goose StatementBegin
-- Clocks of transactions may overlap: a negative time counts as 0.
create function orchestrator.microseconds(d interval) returns numeric language sql immutable
    as $$ select greatest(0, extract(epoch from d) * 1000000) $$;

-- Sums up rows, and leaves out the rows of concurrent folds. The rows are the newest,
-- and at times all: beside a long snapshot the older part of the index is dead rows.
create function orchestrator.fold_task_counts() returns void language plpgsql as $$
declare
    oldest constant bigint := case when random() < 0.02 then 0 else (select max(id) from orchestrator.task_counts) - 20000 end;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return; -- a row that a concurrent fold deleted would fail the transaction
    end if;
    with taken as materialized (
        select tenant_id, id from orchestrator.task_counts where id > oldest order by id limit 1000 for update skip locked
    ), gone as (
        delete from orchestrator.task_counts c using taken where c.tenant_id = taken.tenant_id and c.id = taken.id returning c.*
    )
    insert into orchestrator.task_counts (tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing)
    select tenant_id, status, priority, sum(tasks), sum(claimed), sum(waited), max(longest), sum(processed), sum(processing)
    from gone group by tenant_id, status, priority;
end $$;

create function orchestrator.count_tasks() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into orchestrator.task_counts (tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing)
        select tenant_id, status, priority, count(*), count(dequeued_at),
               coalesce(sum(orchestrator.microseconds(dequeued_at - created_at)), 0), coalesce(max(orchestrator.microseconds(dequeued_at - created_at)), 0),
               count(dequeued_at) filter (where status in ('completed', 'failed')),
               coalesce(sum(orchestrator.microseconds(completed_at - dequeued_at)) filter (where status in ('completed', 'failed')), 0)
        from new_rows group by tenant_id, status, priority;
    elsif tg_op = 'DELETE' then
        insert into orchestrator.task_counts (tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing)
        select tenant_id, status, priority, -count(*), -count(dequeued_at), -coalesce(sum(orchestrator.microseconds(dequeued_at - created_at)), 0), 0,
               -count(dequeued_at) filter (where status in ('completed', 'failed')),
               -coalesce(sum(orchestrator.microseconds(completed_at - dequeued_at)) filter (where status in ('completed', 'failed')), 0)
        from old_rows group by tenant_id, status, priority;
    else
        insert into orchestrator.task_counts (tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing)
        select * from (
            select tenant_id, status, priority, sum(sign) as tasks, coalesce(sum(sign) filter (where dequeued_at is not null), 0) as claimed,
                   coalesce(sum(sign * orchestrator.microseconds(dequeued_at - created_at)), 0) as waited,
                   coalesce(max(orchestrator.microseconds(dequeued_at - created_at)) filter (where sign = 1), 0) as longest,
                   coalesce(sum(sign) filter (where dequeued_at is not null and status in ('completed', 'failed')), 0) as processed,
                   coalesce(sum(sign * orchestrator.microseconds(completed_at - dequeued_at)) filter (where status in ('completed', 'failed')), 0) as processing
            from (select 1 as sign, tenant_id, status, priority, created_at, dequeued_at, completed_at from new_rows
                  union all
                  select -1, tenant_id, status, priority, created_at, dequeued_at, completed_at from old_rows) r
            group by tenant_id, status, priority
        ) changes
        where tasks <> 0 or claimed <> 0 or waited <> 0 or processed <> 0 or processing <> 0;
    end if;
    if random() < 0.02 then
        perform orchestrator.fold_task_counts();
    end if;
    return null;
end $$;

-- Derives the counts from the tasks, for an operator who has restored rows without
-- triggers. A role that is bound by policies derives the current tenant's part.
create function orchestrator.recount() returns void language plpgsql as $$
begin
    lock table orchestrator.tasks in share row exclusive mode;
    delete from orchestrator.task_counts;
    insert into orchestrator.task_counts (tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing)
    select tenant_id, status, priority, count(*), count(dequeued_at),
           coalesce(sum(orchestrator.microseconds(dequeued_at - created_at)), 0), coalesce(max(orchestrator.microseconds(dequeued_at - created_at)), 0),
           count(dequeued_at) filter (where status in ('completed', 'failed')),
           coalesce(sum(orchestrator.microseconds(completed_at - dequeued_at)) filter (where status in ('completed', 'failed')), 0)
    from orchestrator.tasks group by tenant_id, status, priority;
end $$;

-- The function locks tables, and so stops the writers of all tenants.
revoke execute on function orchestrator.recount from public;

do $$
declare
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    -- The table's owner meets the policies too, and would find no rows.
    alter table orchestrator.tasks no force row level security;
    perform orchestrator.recount();
    alter table orchestrator.tasks force row level security;
    alter table orchestrator.task_counts enable row level security;
    alter table orchestrator.task_counts force row level security;
    execute format('create policy tenant_select on orchestrator.task_counts for select using (%s)', mine);
    execute format('create policy tenant_insert on orchestrator.task_counts for insert with check (%s)', mine);
    execute format('create policy tenant_update on orchestrator.task_counts for update using (%s) with check (%s)', mine, mine);
    execute format('create policy tenant_delete on orchestrator.task_counts for delete using (%s)', mine);
end $$;
-- +goose StatementEnd

create trigger count_inserted after insert on orchestrator.tasks referencing new table as new_rows
    for each statement execute function orchestrator.count_tasks();
create trigger count_updated after update on orchestrator.tasks referencing old table as old_rows new table as new_rows
    for each statement execute function orchestrator.count_tasks();
create trigger count_deleted after delete on orchestrator.tasks referencing old table as old_rows
    for each statement execute function orchestrator.count_tasks();

-- +goose Down
drop index orchestrator.tasks_again_idx;
drop trigger count_inserted on orchestrator.tasks;
drop trigger count_updated on orchestrator.tasks;
drop trigger count_deleted on orchestrator.tasks;
drop function orchestrator.count_tasks, orchestrator.fold_task_counts, orchestrator.recount;
drop table orchestrator.task_counts;
drop function orchestrator.microseconds;
alter table orchestrator.tasks reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
alter table orchestrator.assignments reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
alter table orchestrator.executions reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
drop index orchestrator.assignments_deadline_idx, orchestrator.assignments_status_idx, orchestrator.assignments_agent_active_idx;
create index assignments_deadline_idx on orchestrator.assignments (tenant_id, deadline) where status in ('assigned', 'acknowledged', 'executing');
create index assignments_status_idx on orchestrator.assignments (tenant_id, status);
