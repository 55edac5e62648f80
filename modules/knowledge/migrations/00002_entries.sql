-- +goose Up
create table knowledge.entries (
    tenant_id       text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id              uuid not null default gen_random_uuid(),
    source          text not null check (length(source) between 1 and 255),
    entity_id       text not null check (length(entity_id) between 1 and 255),
    kind            text not null check (length(kind) between 1 and 100),
    name            text not null,
    canonical_name  text not null generated always as (lower(btrim(regexp_replace(name, '\s+', ' ', 'g')))) stored,
    body            text not null,
    content_hash    text not null check (length(content_hash) = 64),
    embedding_model text check (length(embedding_model) between 1 and 255),
    confidence      double precision not null default 1 check (confidence between 0 and 1),
    status          text not null default 'active' check (status in ('active', 'replaced', 'archived')),
    replaced_by     uuid,
    decay_rate      double precision not null default 0.95 check (decay_rate > 0 and decay_rate <= 1),
    replaced_at     timestamptz,
    decayed_at      timestamptz,
    needs_review    boolean not null default false,
    metadata        jsonb not null default '{}',
    search_vector   tsvector not null generated always as (
        setweight(to_tsvector('english', left(name, 10000)), 'A') || setweight(to_tsvector('english', left(body, 100000)), 'B')
    ) stored,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    primary key (tenant_id, id)
);
create unique index entries_active_key on knowledge.entries (tenant_id, source, entity_id) where status = 'active';
create index entries_source_idx on knowledge.entries (tenant_id, source);
create index entries_kind_idx on knowledge.entries (tenant_id, kind, status);
create index entries_status_idx on knowledge.entries (tenant_id, status);
-- No GIN index on search_vector: @@ is not leakproof, so behind row-level security
-- it only filters what an index led by the tenant found.

-- The column is a vector where the server has the extension pgvector and this
-- role may create it, an array else. Clients look at its type. A server that gets
-- the extension later keeps the array.
-- +goose StatementBegin
do $$
declare
    home text;
begin
    if exists (select from pg_available_extensions where name = 'vector') then
        begin
            create extension if not exists vector;
        exception when insufficient_privilege or invalid_schema_name then
            raise notice 'pgvector is there and this role may not create it: embeddings are arrays';
        end;
    end if;
    select quote_ident(n.nspname) into home from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector';
    if home is null then
        alter table knowledge.entries add column embedding real[] check (cardinality(embedding) = 768);
        return;
    end if;
    execute format('alter table knowledge.entries add column embedding %s.vector(768)', home);
    if exists (select from pg_am where amname = 'hnsw') then -- since pgvector 0.5
        execute format('create index entries_embedding_idx on knowledge.entries using hnsw (embedding %s.vector_cosine_ops)
                        with (m = 16, ef_construction = 64) where status = ''active''', home);
    end if;
end $$;
-- +goose StatementEnd

create table knowledge.entry_feedback (
    tenant_id text not null default app.current_tenant(),
    id        bigint not null generated always as identity,
    entry_id  uuid not null,
    at        timestamptz not null default now(),
    old       double precision not null check (old between 0 and 1),
    new       double precision not null check (new between 0 and 1),
    success   boolean not null,
    context   jsonb not null default '{}',
    primary key (tenant_id, id),
    foreign key (tenant_id, entry_id) references knowledge.entries on delete cascade
);
create index entry_feedback_entry_idx on knowledge.entry_feedback (tenant_id, entry_id, at desc);

create trigger touch_updated_at before update on knowledge.entries for each row execute function app.touch_updated_at();

-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['entries', 'entry_feedback'] loop
        execute format('alter table knowledge.%I enable row level security', t);
        execute format('alter table knowledge.%I force row level security', t);
        execute format('create policy tenant_select on knowledge.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on knowledge.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on knowledge.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on knowledge.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

-- +goose Down
-- The extension stays: others may use it.
drop table knowledge.entry_feedback, knowledge.entries;
