-- +goose Up
-- The costs of reads must not grow with a tenant's rows. A trigger adds a row of differences for
-- each statement, so no writer waits for a second writer, and a sum over the committed rows is
-- exact. Some statements fold the rows of a key into a single row.

-- Differences of a traversal's nodes by status and depth, and of the traversal's bytes. The
-- bytes from before the table stay in web.traversals.
create table web.node_counts (
    tenant_id    text not null default app.current_tenant(),
    traversal_id uuid not null,
    status       text not null,
    depth        integer not null,
    nodes        bigint not null default 0,
    bytes        bigint not null default 0,
    foreign key (tenant_id, traversal_id) references web.traversals on delete cascade
);
create index node_counts_key_idx on web.node_counts (tenant_id, traversal_id, status, depth);

-- Differences of the cache stand beside the differences of hits and misses.
alter table web.cache_counters drop constraint cache_counters_pkey;
alter table web.cache_counters add column entries bigint not null default 0, add column size_bytes bigint not null default 0;
create index cache_counters_tenant_idx on web.cache_counters (tenant_id);

-- Differences of the cache by the minute in which the entries were stored, for the ages of the
-- last day. Purge deletes older minutes.
create table web.cache_minutes (
    tenant_id text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    minute    timestamptz not null,
    entries   bigint not null
);
create index cache_minutes_key_idx on web.cache_minutes (tenant_id, minute) include (entries);

-- The first index answers for the expired entries alone, and gives a purge's next batch its
-- place. The second index answers for the minutes in which an age begins.
create index cache_expired_idx on web.cache (tenant_id, expires_at, url) include (cached_at, cache_size_bytes);
create index cache_cached_idx on web.cache (tenant_id, cached_at);
drop index web.cache_expires_idx;
create index contents_expired_idx on web.contents (tenant_id, cached_until, id);
drop index web.contents_cached_until_idx;
create index rate_limits_limited_idx on web.rate_limits (domain) where status <> 'ok';

-- +goose StatementBegin
do $$
declare
    op text;
    t text;
    changed text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['node_counts', 'cache_minutes'] loop
        execute format('alter table web.%I enable row level security', t);
        execute format('alter table web.%I force row level security', t);
        execute format('create policy tenant_select on web.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on web.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on web.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on web.%I for delete using (%s)', t, mine);
    end loop;
    foreach op in array array['insert', 'update', 'delete'] loop
        -- A deleted traversal takes the counts along.
        changed := concat_ws(' union all ',
            case when op <> 'delete' then 'select tenant_id, traversal_id, status, depth, 1 as sign from new_rows' end,
            case when op <> 'insert' then 'select tenant_id, traversal_id, status, depth, -1 as sign from old_rows' end);
        execute format('
            create function web.count_nodes_%1$s() returns trigger language plpgsql as $body$
            begin
                insert into web.node_counts (tenant_id, traversal_id, status, depth, nodes)
                select r.tenant_id, r.traversal_id, r.status, r.depth, sum(r.sign) from (%2$s) r
                where exists (select from web.traversals t where t.tenant_id = r.tenant_id and t.id = r.traversal_id)
                group by r.tenant_id, r.traversal_id, r.status, r.depth having sum(r.sign) <> 0;
                return null;
            end $body$', op, changed);
        execute format('create trigger count_%1$s after %1$s on web.traversal_nodes %2$s for each statement execute function web.count_nodes_%1$s()',
            op, concat_ws(' ', 'referencing', case when op <> 'delete' then 'new table as new_rows' end, case when op <> 'insert' then 'old table as old_rows' end));
    end loop;
end $$;
-- +goose StatementEnd

-- A get changes neither size nor time, and counts nothing here.
-- +goose StatementBegin
create function web.count_cache() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into web.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, count(*), sum(cache_size_bytes) from changed group by tenant_id;
        insert into web.cache_minutes (tenant_id, minute, entries)
        select tenant_id, date_trunc('minute', cached_at), count(*) from changed group by 1, 2;
    elsif tg_op = 'DELETE' then
        insert into web.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, -count(*), -sum(cache_size_bytes) from changed group by tenant_id;
        insert into web.cache_minutes (tenant_id, minute, entries)
        select tenant_id, date_trunc('minute', cached_at), -count(*) from changed
        where cached_at > now() - interval '25 hours' group by 1, 2;
    else
        insert into web.cache_counters (tenant_id, size_bytes) values (new.tenant_id, new.cache_size_bytes - old.cache_size_bytes);
        insert into web.cache_minutes (tenant_id, minute, entries)
        values (new.tenant_id, date_trunc('minute', old.cached_at), -1), (new.tenant_id, date_trunc('minute', new.cached_at), 1);
    end if;
    return null;
end $$;
-- +goose StatementEnd
create trigger count_insert after insert on web.cache referencing new table as changed for each statement execute function web.count_cache();
create trigger count_delete after delete on web.cache referencing old table as changed for each statement execute function web.count_cache();
create trigger count_update after update of cached_at, cache_size_bytes on web.cache for each row execute function web.count_cache();

-- recount counts anew, for an operator: after rows that came without triggers, for example by a
-- copy with session_replication_role = replica. The function locks tables, and so stops the
-- writers of all tenants.
-- +goose StatementBegin
create function web.recount() returns void language plpgsql as $$
begin
    lock table web.traversal_nodes, web.cache in share row exclusive mode;
    update web.node_counts set nodes = 0;
    insert into web.node_counts (tenant_id, traversal_id, status, depth, nodes)
    select tenant_id, traversal_id, status, depth, count(*) from web.traversal_nodes group by 1, 2, 3, 4;
    update web.cache_counters set entries = 0, size_bytes = 0;
    insert into web.cache_counters (tenant_id, entries, size_bytes) select tenant_id, count(*), sum(cache_size_bytes) from web.cache group by 1;
    delete from web.cache_minutes;
    insert into web.cache_minutes (tenant_id, minute, entries)
    select tenant_id, date_trunc('minute', cached_at), count(*) from web.cache where cached_at > now() - interval '25 hours' group by 1, 2;
end $$;
-- +goose StatementEnd
revoke execute on function web.recount from public;

-- The tables' owner meets the policies too, and would find no rows.
-- +goose StatementBegin
do $$
declare
    t text;
begin
    foreach t in array array['traversals', 'traversal_nodes', 'node_counts', 'cache', 'cache_counters', 'cache_minutes'] loop
        execute format('alter table web.%I no force row level security', t);
    end loop;
    perform web.recount();
    foreach t in array array['traversals', 'traversal_nodes', 'node_counts', 'cache', 'cache_counters', 'cache_minutes'] loop
        execute format('alter table web.%I force row level security', t);
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
        ('node_counts', ', traversal_id, status, depth', 'nodes, bytes', 'sum(nodes), sum(bytes)'),
        ('cache_counters', '', 'hits, misses, entries, size_bytes', 'sum(hits), sum(misses), sum(entries), sum(size_bytes)'),
        ('cache_minutes', ', minute', 'entries', 'sum(entries)')
    ) as v(name, keys, figures, sums) loop
        execute format('
            create function web.fold_%1$s() returns trigger language plpgsql as $body$
            begin
                if random() < 0.98 or current_setting(''transaction_isolation'') <> ''read committed'' then
                    return null;
                end if;
                with touched as materialized (
                    select distinct tenant_id%2$s from added
                ), found as materialized (
                    select c.ctid as place from web.%1$s c join touched t using (tenant_id%2$s) limit 1000 for update of c skip locked
                ), gone as (
                    delete from web.%1$s c using found where c.ctid = found.place returning c.*
                )
                insert into web.%1$s (tenant_id%2$s, %3$s) select tenant_id%2$s, %4$s from gone group by tenant_id%2$s;
                return null;
            end $body$', c.name, c.keys, c.figures, c.sums);
        execute format('create trigger fold after insert on web.%1$s referencing new table as added
            for each statement execute function web.fold_%1$s()', c.name);
    end loop;
end $$;
-- +goose StatementEnd

create or replace view web.traversal_stats with (security_invoker = true) as
select t.tenant_id, t.id as traversal_id, t.session_id, t.status, (t.total_content_bytes + n.bytes)::bigint as total_content_bytes,
       t.rate_limit_encounters, t.started_at, t.completed_at,
       n.pages_visited, n.pages_skipped, n.errors_encountered, n.pages_pending, n.max_depth_reached
from web.traversals t
cross join lateral (
    select coalesce(sum(d.nodes) filter (where status = 'visited'), 0)::bigint as pages_visited,
           coalesce(sum(d.nodes) filter (where status = 'skipped'), 0)::bigint as pages_skipped,
           coalesce(sum(d.nodes) filter (where status = 'error'), 0)::bigint as errors_encountered,
           coalesce(sum(d.nodes) filter (where status = 'pending'), 0)::bigint as pages_pending,
           coalesce(max(d.depth) filter (where status <> 'pending' and d.nodes > 0), 0) as max_depth_reached, coalesce(sum(d.bytes), 0) as bytes
    from (select c.status, c.depth, sum(c.nodes) as nodes, sum(c.bytes) as bytes from web.node_counts c
          where c.tenant_id = t.tenant_id and c.traversal_id = t.id group by c.status, c.depth) d
) n;

-- Dead rows of counts cost each sum, and dead rows of a purge cost the next purge: vacuum by a
-- fixed number of rows instead of a fifth of the table.
alter table web.node_counts set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table web.cache_counters set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table web.cache_minutes set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table web.cache set (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90);
alter table web.contents set (autovacuum_vacuum_scale_factor = 0.02);

-- +goose Down
alter table web.contents reset (autovacuum_vacuum_scale_factor);
alter table web.cache reset (autovacuum_vacuum_scale_factor, fillfactor);
drop function web.recount();
drop trigger fold on web.cache_counters;
drop function web.fold_cache_counters();
drop trigger count_insert on web.cache;
drop trigger count_delete on web.cache;
drop trigger count_update on web.cache;
drop function web.count_cache();
drop trigger count_insert on web.traversal_nodes;
drop trigger count_update on web.traversal_nodes;
drop trigger count_delete on web.traversal_nodes;
drop function web.count_nodes_insert(), web.count_nodes_update(), web.count_nodes_delete();

alter table web.traversals no force row level security;
alter table web.node_counts no force row level security;
update web.traversals t set total_content_bytes = t.total_content_bytes + b.bytes
from (select tenant_id, traversal_id, sum(bytes) as bytes from web.node_counts group by 1, 2) b where b.tenant_id = t.tenant_id and b.traversal_id = t.id;
alter table web.traversals force row level security;
create or replace view web.traversal_stats with (security_invoker = true) as
select t.tenant_id, t.id as traversal_id, t.session_id, t.status, t.total_content_bytes, t.rate_limit_encounters, t.started_at, t.completed_at,
       n.pages_visited, n.pages_skipped, n.errors_encountered, n.pages_pending, n.max_depth_reached
from web.traversals t
cross join lateral (
    select count(*) filter (where status = 'visited') as pages_visited, count(*) filter (where status = 'skipped') as pages_skipped,
           count(*) filter (where status = 'error') as errors_encountered, count(*) filter (where status = 'pending') as pages_pending,
           coalesce(max(depth) filter (where status <> 'pending'), 0) as max_depth_reached
    from web.traversal_nodes where tenant_id = t.tenant_id and traversal_id = t.id
) n;
drop table web.node_counts, web.cache_minutes;
drop function web.fold_node_counts(), web.fold_cache_minutes();

drop index web.cache_counters_tenant_idx;
alter table web.cache_counters no force row level security;
with gone as (delete from web.cache_counters returning *)
insert into web.cache_counters (tenant_id, hits, misses) select tenant_id, sum(hits), sum(misses) from gone group by tenant_id;
alter table web.cache_counters force row level security;
alter table web.cache_counters drop column entries, drop column size_bytes, add primary key (tenant_id),
    reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
create index cache_expires_idx on web.cache (tenant_id, expires_at);
drop index web.cache_expired_idx, web.cache_cached_idx, web.rate_limits_limited_idx;
create index contents_cached_until_idx on web.contents (tenant_id, cached_until);
drop index web.contents_expired_idx;
