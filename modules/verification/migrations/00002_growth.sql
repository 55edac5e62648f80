-- +goose Up
-- The costs of reads must not grow with a tenant's rows. A trigger adds a row of differences for
-- each statement, so no writer waits for a second writer, and a sum over the committed rows is
-- exact. Some statements fold the rows of a key into a single row.

-- Differences of the evidence by method; '' is no method. results counts the results with
-- evidence of the method.
create table verification.evidence_counts (
    tenant_id   text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    method      text not null,
    evidence    bigint not null,
    supporting  bigint not null,
    results     bigint not null,
    relevance   numeric not null,
    credibility numeric not null
);
create index evidence_counts_key_idx on verification.evidence_counts (tenant_id, method);

-- Differences of the cache stand beside the differences of hits and misses.
alter table verification.cache_counters drop constraint cache_counters_pkey;
alter table verification.cache_counters add column entries bigint not null default 0, add column size_bytes bigint not null default 0;
create index cache_counters_tenant_idx on verification.cache_counters (tenant_id);

-- The index answers for the expired entries alone, and gives a purge's next batch its place.
create index cache_expired_idx on verification.cache (tenant_id, expires_at, cache_key) include (size_bytes);
drop index verification.cache_expires_idx;

-- +goose StatementBegin
do $$
declare
    op text;
    changed text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    alter table verification.evidence_counts enable row level security;
    alter table verification.evidence_counts force row level security;
    execute format('create policy tenant_select on verification.evidence_counts for select using (%s)', mine);
    execute format('create policy tenant_insert on verification.evidence_counts for insert with check (%s)', mine);
    execute format('create policy tenant_update on verification.evidence_counts for update using (%s) with check (%s)', mine, mine);
    execute format('create policy tenant_delete on verification.evidence_counts for delete using (%s)', mine);
    foreach op in array array['insert', 'update', 'delete'] loop
        changed := concat_ws(' union all ',
            case when op <> 'delete' then 'select tenant_id, result_id, verification_method, supporting_claim, relevance_score, credibility_score, 1 as sign from new_rows' end,
            case when op <> 'insert' then 'select tenant_id, result_id, verification_method, supporting_claim, relevance_score, credibility_score, -1 as sign from old_rows' end);
        -- Of each result: the pieces of the method now, and before the statement.
        execute format('
            create function verification.count_evidence_%1$s() returns trigger language plpgsql as $body$
            begin
                insert into verification.evidence_counts (tenant_id, method, evidence, supporting, results, relevance, credibility)
                select r.tenant_id, r.method, sum(r.evidence), sum(r.supporting), sum((n.now > 0)::int - (n.now - r.evidence > 0)::int), sum(r.relevance), sum(r.credibility)
                from (select tenant_id, result_id, coalesce(verification_method, '''') as method, sum(sign) as evidence,
                             coalesce(sum(sign) filter (where supporting_claim), 0) as supporting,
                             sum(sign * relevance_score::numeric) as relevance, sum(sign * credibility_score::numeric) as credibility
                      from (%2$s) c group by 1, 2, 3) r
                cross join lateral (select count(*) as now from verification.evidence e
                    where e.tenant_id = r.tenant_id and e.result_id = r.result_id and coalesce(e.verification_method, '''') = r.method) n
                group by r.tenant_id, r.method;
                return null;
            end $body$', op, changed);
        execute format('create trigger count_%1$s after %1$s on verification.evidence %2$s for each statement execute function verification.count_evidence_%1$s()',
            op, concat_ws(' ', 'referencing', case when op <> 'delete' then 'new table as new_rows' end, case when op <> 'insert' then 'old table as old_rows' end));
    end loop;
end $$;
-- +goose StatementEnd

-- A put changes the size alone; a get changes neither the size nor the count.
-- +goose StatementBegin
create function verification.count_cache() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into verification.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, count(*), sum(size_bytes) from changed group by tenant_id;
    elsif tg_op = 'DELETE' then
        insert into verification.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, -count(*), -sum(size_bytes) from changed group by tenant_id;
    else
        insert into verification.cache_counters (tenant_id, size_bytes) values (new.tenant_id, new.size_bytes - old.size_bytes);
    end if;
    return null;
end $$;
-- +goose StatementEnd
create trigger count_insert after insert on verification.cache referencing new table as changed for each statement execute function verification.count_cache();
create trigger count_delete after delete on verification.cache referencing old table as changed for each statement execute function verification.count_cache();
create trigger count_update after update of size_bytes on verification.cache for each row
    when (old.size_bytes <> new.size_bytes) execute function verification.count_cache();

-- recount counts anew, for an operator: after rows that came without triggers, for example by a
-- copy with session_replication_role = replica. The function locks tables, and so stops the
-- writers of all tenants.
-- +goose StatementBegin
create function verification.recount() returns void language plpgsql as $$
begin
    lock table verification.evidence, verification.cache in share row exclusive mode;
    delete from verification.evidence_counts;
    insert into verification.evidence_counts (tenant_id, method, evidence, supporting, results, relevance, credibility)
    select tenant_id, coalesce(verification_method, ''), count(*), count(*) filter (where supporting_claim), count(distinct result_id),
           sum(relevance_score::numeric), sum(credibility_score::numeric)
    from verification.evidence group by 1, 2;
    update verification.cache_counters set entries = 0, size_bytes = 0;
    insert into verification.cache_counters (tenant_id, entries, size_bytes) select tenant_id, count(*), sum(size_bytes) from verification.cache group by 1;
end $$;
-- +goose StatementEnd
revoke execute on function verification.recount from public;

-- The tables' owner meets the policies too, and would find no rows.
-- +goose StatementBegin
do $$
declare
    t text;
begin
    foreach t in array array['evidence', 'evidence_counts', 'cache', 'cache_counters'] loop
        execute format('alter table verification.%I no force row level security', t);
    end loop;
    perform verification.recount();
    foreach t in array array['evidence', 'evidence_counts', 'cache', 'cache_counters'] loop
        execute format('alter table verification.%I force row level security', t);
    end loop;
end $$;
-- +goose StatementEnd

-- A fiftieth of the statements fold the rows of their keys. "skip locked" waits for nobody. A
-- transaction with a snapshot of its own would fail at rows that changed since, and leaves the
-- fold to others.
-- +goose StatementBegin
do $$
declare
    c record;
begin
    for c in select * from (values
        ('evidence_counts', ', method', 'evidence, supporting, results, relevance, credibility',
         'sum(evidence), sum(supporting), sum(results), sum(relevance), sum(credibility)'),
        ('cache_counters', '', 'hits, misses, entries, size_bytes', 'sum(hits), sum(misses), sum(entries), sum(size_bytes)')
    ) as v(name, keys, figures, sums) loop
        execute format('
            create function verification.fold_%1$s() returns trigger language plpgsql as $body$
            begin
                if random() < 0.98 or current_setting(''transaction_isolation'') <> ''read committed'' then
                    return null;
                end if;
                with touched as materialized (
                    select distinct tenant_id%2$s from added
                ), found as materialized (
                    select c.ctid as place from verification.%1$s c join touched t using (tenant_id%2$s) limit 1000 for update of c skip locked
                ), gone as (
                    delete from verification.%1$s c using found where c.ctid = found.place returning c.*
                )
                insert into verification.%1$s (tenant_id%2$s, %3$s) select tenant_id%2$s, %4$s from gone group by tenant_id%2$s;
                return null;
            end $body$', c.name, c.keys, c.figures, c.sums);
        execute format('create trigger fold after insert on verification.%1$s referencing new table as added
            for each statement execute function verification.fold_%1$s()', c.name);
    end loop;
end $$;
-- +goose StatementEnd

-- Dead rows of counts cost each sum, and dead rows of a purge cost the next purge: vacuum by a
-- fixed number of rows instead of a fifth of the table.
alter table verification.evidence_counts set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table verification.cache_counters set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table verification.cache set (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90);
alter table verification.requests set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- +goose Down
alter table verification.requests reset (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
alter table verification.cache reset (autovacuum_vacuum_scale_factor, fillfactor);
drop function verification.recount();
drop trigger fold on verification.cache_counters;
drop function verification.fold_cache_counters();
drop trigger count_insert on verification.cache;
drop trigger count_delete on verification.cache;
drop trigger count_update on verification.cache;
drop function verification.count_cache();
drop trigger count_insert on verification.evidence;
drop trigger count_update on verification.evidence;
drop trigger count_delete on verification.evidence;
drop function verification.count_evidence_insert(), verification.count_evidence_update(), verification.count_evidence_delete();
drop table verification.evidence_counts;
drop function verification.fold_evidence_counts();

drop index verification.cache_counters_tenant_idx;
alter table verification.cache_counters no force row level security;
with gone as (delete from verification.cache_counters returning *)
insert into verification.cache_counters (tenant_id, hits, misses) select tenant_id, sum(hits), sum(misses) from gone group by tenant_id;
alter table verification.cache_counters force row level security;
alter table verification.cache_counters drop column entries, drop column size_bytes, add primary key (tenant_id),
    reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
create index cache_expires_idx on verification.cache (tenant_id, expires_at);
drop index verification.cache_expired_idx;
