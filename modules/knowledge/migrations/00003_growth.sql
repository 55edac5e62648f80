-- +goose Up
-- The costs of reads must not grow with a tenant's rows. Three ideas serve all tables below.
--
-- 1. Counts. A trigger adds a row of differences for each statement, so no writer waits for a
--    second writer, and a sum over the committed rows is exact. Some statements fold the rows
--    of a key into a single row.
-- 2. Keys that move on. A batch of a purge continues behind the last row of the previous batch,
--    and does not visit dead rows again.
-- 3. Search by a table of its own. See knowledge.entry_search.

-- Differences of entries: of all entries, of a source, of a kind, and of both; '' stands for
-- all. confidence is the sum over active entries.
create table knowledge.entry_counts (
    tenant_id    text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    source       text not null,
    kind         text not null,
    active       bigint not null,
    replaced     bigint not null,
    archived     bigint not null,
    needs_review bigint not null,
    confidence   numeric not null,
    changed_at   timestamptz not null default now()
);
create index entry_counts_key_idx on knowledge.entry_counts (tenant_id, source, kind);

-- Differences of the cache stand beside the differences of hits and misses.
alter table knowledge.cache_counters drop constraint cache_counters_pkey;
alter table knowledge.cache_counters add column entries bigint not null default 0, add column size_bytes bigint not null default 0;
create index cache_counters_tenant_idx on knowledge.cache_counters (tenant_id);

-- The index answers for the expired entries alone, and gives a purge's next batch its place.
create index cache_expired_idx on knowledge.cache (tenant_id, expires_at, cache_key) include (size_bytes);
drop index knowledge.cache_expires_idx;

-- Decay continues behind the last entry; so does the deletion of a source.
create index entries_due_idx on knowledge.entries (tenant_id, (coalesce(decayed_at, replaced_at)), id) where status = 'replaced';
create index entries_of_source_idx on knowledge.entries (tenant_id, source, id);
drop index knowledge.entries_source_idx;
create index entries_embedded_idx on knowledge.entries (tenant_id, id) where status = 'active' and embedding is not null;

-- The words have the tenant, the source and the kind as words too: the index on words then reads
-- no entry of a second tenant, and of the wanted sources alone. No word of a text begins with =.
-- Without pgvector the length of an embedding is stored, and a search need not compute the length.
-- +goose StatementBegin
create function knowledge.vector_length(v real[]) returns double precision language sql immutable strict parallel safe
    as $$ select pg_catalog.sqrt(pg_catalog.sum(x::double precision * x::double precision)) from pg_catalog.unnest(v) x $$;
-- +goose StatementEnd
-- +goose StatementBegin
do $$
declare
    words constant text := '
        setweight(to_tsvector(''english'', left(name, 10000)), ''A'') || setweight(to_tsvector(''english'', left(body, 100000)), ''B'')
        || array_to_tsvector(array[''=t'' || hashtextextended(tenant_id, 0), ''=s'' || hashtextextended(source, 0), ''=k'' || hashtextextended(kind, 0)])';
    length text := '';
begin
    if (select atttypid = 'real[]'::regtype from pg_attribute where attrelid = 'knowledge.entries'::regclass and attname = 'embedding') then
        length := ', add column embedding_length double precision generated always as (knowledge.vector_length(embedding)) stored';
    end if;
    alter table knowledge.entries drop column search_vector;
    execute format('alter table knowledge.entries add column search_vector tsvector not null generated always as (%s) stored%s', words, length);
    execute format('
create table knowledge.entry_search (
            tenant_id     text not null default app.current_tenant(),
            id            uuid not null default gen_random_uuid(),
            source        text not null,
            kind          text not null,
            name          text not null,
            body          text not null,
            confidence    double precision not null,
            status        text not null,
            search_vector tsvector not null generated always as (%s) stored
        )', words);
end $$;
-- +goose StatementEnd

-- knowledge.entry_search is the parent of knowledge.entries, has no rows, and shows entries by
-- words. A statement meets the policies of the table that the statement names, so the search
-- meets the policy below instead of the policies of entries. @@ is not leakproof: as a condition
-- of a statement, @@ waits until the policy has let a row through, and no index answers. Within
-- the policy, the condition on the words stands beside the condition on the tenant, and the
-- index on words answers. "is true" keeps the tenant's condition from the indexes that the
-- tenant leads: the server would read all entries of the tenant for an intersection.
create index entries_words_idx on knowledge.entries using gin (search_vector) with (gin_pending_list_limit = 256) where status = 'active';
alter table knowledge.entries inherit knowledge.entry_search;
create index entry_search_tenant_idx on knowledge.entry_search (tenant_id); -- of no rows: the verifier of policies asks for the index

-- +goose StatementBegin
do $$
declare
    op text;
    t text;
    changed text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach op in array array['insert', 'update', 'delete'] loop
        changed := concat_ws(' union all ',
            case when op <> 'delete' then 'select tenant_id, source, kind, status, needs_review, confidence, 1 as sign from new_rows' end,
            case when op <> 'insert' then 'select tenant_id, source, kind, status, needs_review, confidence, -1 as sign from old_rows' end);
        execute format('
            create function knowledge.count_%s() returns trigger language plpgsql as $body$
            begin
                insert into knowledge.entry_counts (tenant_id, source, kind, active, replaced, archived, needs_review, confidence)
                select tenant_id, coalesce(source, ''''), coalesce(kind, ''''),
                       coalesce(sum(sign) filter (where status = ''active''), 0), coalesce(sum(sign) filter (where status = ''replaced''), 0),
                       coalesce(sum(sign) filter (where status = ''archived''), 0),
                       coalesce(sum(sign) filter (where status = ''active'' and needs_review), 0),
                       coalesce(sum(sign * confidence::numeric) filter (where status = ''active''), 0)
                from (%s) r group by tenant_id, grouping sets ((), (source), (kind), (source, kind));
                return null;
            end $body$', op, changed);
        execute format('create trigger count_%1$s after %1$s on knowledge.entries %2$s for each statement execute function knowledge.count_%1$s()',
            op, concat_ws(' ', 'referencing', case when op <> 'delete' then 'new table as new_rows' end, case when op <> 'insert' then 'old table as old_rows' end));
    end loop;
    foreach t in array array['entry_counts', 'entry_search'] loop
        execute format('alter table knowledge.%I enable row level security', t);
        execute format('alter table knowledge.%I force row level security', t);
        execute format('create policy tenant_insert on knowledge.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on knowledge.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on knowledge.%I for delete using (%s)', t, mine);
    end loop;
    execute format('create policy tenant_select on knowledge.entry_counts for select using (%s)', mine);
    execute format('create policy tenant_select on knowledge.entry_search for select using ((%s) is true
        and search_vector @@ nullif((select current_setting(''knowledge.words'', true)), '''')::tsquery)', mine);
end $$;
-- +goose StatementEnd

-- A put changes the size alone; a get changes neither the size nor the count.
-- +goose StatementBegin
create function knowledge.count_cache() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into knowledge.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, count(*), sum(size_bytes) from changed group by tenant_id;
    elsif tg_op = 'DELETE' then
        insert into knowledge.cache_counters (tenant_id, entries, size_bytes)
        select tenant_id, -count(*), -sum(size_bytes) from changed group by tenant_id;
    else
        insert into knowledge.cache_counters (tenant_id, size_bytes) values (new.tenant_id, new.size_bytes - old.size_bytes);
    end if;
    return null;
end $$;
-- +goose StatementEnd
create trigger count_insert after insert on knowledge.cache referencing new table as changed for each statement execute function knowledge.count_cache();
create trigger count_delete after delete on knowledge.cache referencing old table as changed for each statement execute function knowledge.count_cache();
create trigger count_update after update of size_bytes on knowledge.cache for each row
    when (old.size_bytes <> new.size_bytes) execute function knowledge.count_cache();

-- recount counts anew, for an operator: after rows that came without triggers, for example by a
-- copy with session_replication_role = replica. The function locks tables, and so stops the
-- writers of all tenants.
-- +goose StatementBegin
create function knowledge.recount() returns void language plpgsql as $$
begin
    lock table knowledge.entries, knowledge.cache in share row exclusive mode;
    delete from knowledge.entry_counts;
    insert into knowledge.entry_counts (tenant_id, source, kind, active, replaced, archived, needs_review, confidence, changed_at)
    select tenant_id, coalesce(source, ''), coalesce(kind, ''), count(*) filter (where status = 'active'), count(*) filter (where status = 'replaced'),
           count(*) filter (where status = 'archived'), count(*) filter (where status = 'active' and needs_review),
           coalesce(sum(confidence::numeric) filter (where status = 'active'), 0), max(updated_at)
    from knowledge.entries group by tenant_id, grouping sets ((), (source), (kind), (source, kind));
    update knowledge.cache_counters set entries = 0, size_bytes = 0;
    insert into knowledge.cache_counters (tenant_id, entries, size_bytes) select tenant_id, count(*), sum(size_bytes) from knowledge.cache group by tenant_id;
end $$;
-- +goose StatementEnd
revoke execute on function knowledge.recount from public;

-- The tables' owner meets the policies too, and would find no rows.
-- +goose StatementBegin
do $$
declare
    t text;
begin
    foreach t in array array['entries', 'entry_counts', 'cache', 'cache_counters'] loop
        execute format('alter table knowledge.%I no force row level security', t);
    end loop;
    perform knowledge.recount();
    foreach t in array array['entries', 'entry_counts', 'cache', 'cache_counters'] loop
        execute format('alter table knowledge.%I force row level security', t);
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
        ('entry_counts', ', source, kind', 'active, replaced, archived, needs_review, confidence, changed_at',
         'sum(active), sum(replaced), sum(archived), sum(needs_review), sum(confidence), max(changed_at)'),
        ('cache_counters', '', 'hits, misses, entries, size_bytes', 'sum(hits), sum(misses), sum(entries), sum(size_bytes)')
    ) as v(name, keys, figures, sums) loop
        execute format('
            create function knowledge.fold_%1$s() returns trigger language plpgsql as $body$
            begin
                if random() < 0.98 or current_setting(''transaction_isolation'') <> ''read committed'' then
                    return null;
                end if;
                with touched as materialized (
                    select distinct tenant_id%2$s from added
                ), found as materialized (
                    select c.ctid as place from knowledge.%1$s c join touched t using (tenant_id%2$s) limit 1000 for update of c skip locked
                ), gone as (
                    delete from knowledge.%1$s c using found where c.ctid = found.place returning c.*
                )
                insert into knowledge.%1$s (tenant_id%2$s, %3$s) select tenant_id%2$s, %4$s from gone group by tenant_id%2$s;
                return null;
            end $body$', c.name, c.keys, c.figures, c.sums);
        execute format('create trigger fold after insert on knowledge.%1$s referencing new table as added
            for each statement execute function knowledge.fold_%1$s()', c.name);
    end loop;
end $$;
-- +goose StatementEnd

-- Dead rows of counts cost each sum, and dead rows of a purge cost the next purge: vacuum by a
-- fixed number of rows instead of a fifth of the table.
alter table knowledge.entry_counts set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table knowledge.cache_counters set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table knowledge.cache set (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90);
alter table knowledge.entries set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- +goose Down
drop function knowledge.recount();
drop trigger fold on knowledge.cache_counters;
drop function knowledge.fold_cache_counters();
drop trigger count_insert on knowledge.cache;
drop trigger count_delete on knowledge.cache;
drop trigger count_update on knowledge.cache;
drop function knowledge.count_cache();
create index cache_expires_idx on knowledge.cache (tenant_id, expires_at);
drop index knowledge.cache_expired_idx;
alter table knowledge.cache reset (autovacuum_vacuum_scale_factor, fillfactor);

drop index knowledge.cache_counters_tenant_idx;
alter table knowledge.cache_counters no force row level security;
with gone as (delete from knowledge.cache_counters returning *)
insert into knowledge.cache_counters (tenant_id, hits, misses) select tenant_id, sum(hits), sum(misses) from gone group by tenant_id;
alter table knowledge.cache_counters force row level security;
alter table knowledge.cache_counters drop column entries, drop column size_bytes, add primary key (tenant_id),
    reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);

drop trigger count_insert on knowledge.entries;
drop trigger count_update on knowledge.entries;
drop trigger count_delete on knowledge.entries;
drop function knowledge.count_insert(), knowledge.count_update(), knowledge.count_delete();
drop table knowledge.entry_counts;
drop function knowledge.fold_entry_counts();
alter table knowledge.entries no inherit knowledge.entry_search;
drop table knowledge.entry_search;
alter table knowledge.entries drop column search_vector, drop column if exists embedding_length;
alter table knowledge.entries add column search_vector tsvector not null generated always as (
    setweight(to_tsvector('english', left(name, 10000)), 'A') || setweight(to_tsvector('english', left(body, 100000)), 'B')
) stored, reset (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
drop function knowledge.vector_length(real[]);
create index entries_source_idx on knowledge.entries (tenant_id, source);
drop index knowledge.entries_of_source_idx;
drop index knowledge.entries_due_idx;
drop index knowledge.entries_embedded_idx;
