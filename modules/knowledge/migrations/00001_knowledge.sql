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

create schema knowledge;

create table knowledge.queries (
    tenant_id           text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                  text not null check (length(id) between 1 and 255),
    query_text          text not null,
    query_type          text not null check (query_type in ('factual', 'explanatory', 'comparative', 'trend', 'technical')),
    preferred_sources   text[] not null default '{}',
    requester_id        text not null,
    priority            integer not null default 1 check (priority between 1 and 10),
    max_results         integer not null default 10 check (max_results > 0),
    relevance_threshold double precision not null default 0.5 check (relevance_threshold between 0 and 1),
    timeout_ms          bigint not null default 30000 check (timeout_ms > 0),
    context             jsonb not null default '{}',
    tags                text[] not null default '{}',
    status              text not null default 'pending' check (status in ('pending', 'processing', 'completed', 'failed')),
    created_at          timestamptz not null default now(),
    processed_at        timestamptz,
    error_message       text,
    retry_count         integer not null default 0 check (retry_count >= 0),
    primary key (tenant_id, id)
);
create index queries_status_idx on knowledge.queries (tenant_id, status);
create index queries_requester_idx on knowledge.queries (tenant_id, requester_id);
create index queries_priority_idx on knowledge.queries (tenant_id, priority desc, created_at);
create index queries_created_idx on knowledge.queries (tenant_id, created_at desc);

-- No GIN index on tags or words here or in the next files: their operators are not
-- leakproof, so behind row-level security the server checks the tenant first and
-- never asks such an index. It would only make writes dearer.
-- A tsvector holds one megabyte at most, and an insert beyond it fails: what is
-- searched is the beginning of a text. The same holds for every other one here.
create table knowledge.search_results (
    tenant_id         text not null default app.current_tenant(),
    id                text not null check (length(id) between 1 and 255),
    query_id          text not null,
    title             text not null,
    content           text not null,
    url               text not null,
    domain            text not null,
    source_type       text not null check (source_type in ('web', 'academic', 'news', 'documentation', 'social', 'internal')),
    relevance_score   double precision not null check (relevance_score between 0 and 1),
    credibility_score double precision not null check (credibility_score between 0 and 1),
    quality           text not null default 'medium' check (quality in ('high', 'medium', 'low', 'unreliable')),
    provider          text not null,
    provider_metadata jsonb not null default '{}',
    published_at      timestamptz,
    retrieved_at      timestamptz not null default now(),
    created_at        timestamptz not null default now(),
    content_hash      text not null check (length(content_hash) = 64),
    search_vector     tsvector not null generated always as (
        setweight(to_tsvector('english', left(title, 10000)), 'A') || setweight(to_tsvector('english', left(content, 100000)), 'B')
    ) stored,
    primary key (tenant_id, id),
    constraint search_results_hash_key unique (tenant_id, query_id, content_hash),
    foreign key (tenant_id, query_id) references knowledge.queries on delete cascade
);
create index search_results_query_idx on knowledge.search_results (tenant_id, query_id);
create index search_results_domain_idx on knowledge.search_results (tenant_id, domain);
create index search_results_published_idx on knowledge.search_results (tenant_id, published_at desc);

create table knowledge.responses (
    tenant_id             text not null default app.current_tenant(),
    id                    uuid not null default gen_random_uuid(),
    query_id              text not null,
    summary               text not null,
    confidence            double precision not null check (confidence between 0 and 1),
    sources_used          text[] not null default '{}',
    providers_queried     text[] not null default '{}',
    total_results_found   integer not null default 0 check (total_results_found >= 0),
    results_filtered      integer not null default 0 check (results_filtered >= 0),
    processing_time_ms    bigint not null check (processing_time_ms >= 0),
    cache_used            boolean not null default false,
    relevance_score_avg   double precision check (relevance_score_avg between 0 and 1),
    credibility_score_avg double precision check (credibility_score_avg between 0 and 1),
    diversity_score       double precision check (diversity_score between 0 and 1),
    created_at            timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, query_id) references knowledge.queries on delete cascade
);
create index responses_query_idx on knowledge.responses (tenant_id, query_id);
create index responses_created_idx on knowledge.responses (tenant_id, created_at desc);

-- Of no tenant: a provider is up or down for all.
create table knowledge.provider_health (
    provider_name        text primary key check (length(provider_name) between 1 and 100),
    available            boolean not null default true,
    last_health_check    timestamptz not null default now(),
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    avg_response_time_ms double precision,
    error_rate           double precision not null default 0 check (error_rate between 0 and 1),
    requests_this_minute integer not null default 0,
    requests_this_hour   integer not null default 0,
    rate_limit_remaining integer,
    rate_limit_reset_at  timestamptz,
    last_error_message   text,
    last_error_at        timestamptz,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now()
);
create index provider_health_available_idx on knowledge.provider_health (available);
create index provider_health_checked_idx on knowledge.provider_health (last_health_check desc);

create table knowledge.cache (
    tenant_id        text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    cache_key        text not null check (octet_length(cache_key) between 1 and 64),
    cache_type       text not null default 'query_result' check (cache_type in ('query_result', 'search_result', 'response')),
    content          jsonb not null,
    metadata         jsonb not null default '{}',
    created_at       timestamptz not null default now(),
    expires_at       timestamptz not null,
    access_count     bigint not null default 0 check (access_count >= 0),
    last_accessed_at timestamptz not null default now(),
    size_bytes       bigint not null check (size_bytes >= 0),
    primary key (tenant_id, cache_key)
);
create index cache_expires_idx on knowledge.cache (tenant_id, expires_at);

create table knowledge.cache_counters (
    tenant_id text not null default app.current_tenant() check (length(tenant_id) between 1 and 255) primary key,
    hits      bigint not null default 0 check (hits >= 0),
    misses    bigint not null default 0 check (misses >= 0)
);

create trigger touch_updated_at before update on knowledge.provider_health for each row execute function app.touch_updated_at();
create trigger refuse_tenants before insert or update or delete on knowledge.provider_health for each statement execute function app.refuse_tenants();

-- The setting is read in a sub-select, so once per statement and not per row;
-- empty means nobody.
-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['queries', 'search_results', 'responses', 'cache', 'cache_counters'] loop
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
-- The schema app stays: other modules may use it.
drop schema knowledge cascade;
