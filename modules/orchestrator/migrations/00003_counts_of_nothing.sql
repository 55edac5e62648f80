-- +goose Up
-- An enqueue of new tasks fires the trigger of updates too, without rows.
-- +goose StatementBegin
create or replace function orchestrator.count_tasks() returns trigger language plpgsql as $$
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
        if not exists (select from new_rows) then
            return null; -- an insert that updated no task on a conflict
        end if;
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
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
create or replace function orchestrator.count_tasks() returns trigger language plpgsql as $$
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
-- +goose StatementEnd
