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

create schema web;

create table web.contents (
    tenant_id          text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                 uuid not null default gen_random_uuid(),
    url                text not null,
    title              text not null,
    content            text not null,
    html               text,
    content_hash       text not null check (length(content_hash) = 64),
    quality            text not null default 'unknown' check (quality in ('high', 'medium', 'low', 'unknown')),
    quality_detail     jsonb,
    metadata           jsonb not null default '{}',
    links              jsonb not null default '[]',
    images             jsonb not null default '[]',
    extraction_type    text not null default 'main_content' check (extraction_type in ('full_page', 'main_content', 'specific_element', 'metadata')),
    extracted_at       timestamptz not null default now(),
    cached_until       timestamptz not null,
    extraction_time_ms bigint not null default 0 check (extraction_time_ms >= 0),
    content_size_bytes bigint not null check (content_size_bytes >= 0),
    primary key (tenant_id, id),
    constraint contents_hash_key unique (tenant_id, url, content_hash)
);
create index contents_url_idx on web.contents (tenant_id, url, extracted_at desc);
create index contents_cached_until_idx on web.contents (tenant_id, cached_until);
-- No GIN index on the words: @@ is not leakproof, so behind row-level security the
-- server never asks one, and it would only make writes dearer.

create table web.cache (
    tenant_id        text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    url              text not null,
    content_id       uuid not null,
    cached_at        timestamptz not null default now(),
    expires_at       timestamptz not null,
    hit_count        bigint not null default 0 check (hit_count >= 0),
    last_accessed    timestamptz not null default now(),
    cache_size_bytes bigint not null check (cache_size_bytes >= 0),
    primary key (tenant_id, url),
    foreign key (tenant_id, content_id) references web.contents on delete cascade
);
create index cache_expires_idx on web.cache (tenant_id, expires_at);
create index cache_content_idx on web.cache (tenant_id, content_id);

create table web.cache_counters (
    tenant_id text not null default app.current_tenant() check (length(tenant_id) between 1 and 255) primary key,
    hits      bigint not null default 0 check (hits >= 0),
    misses    bigint not null default 0 check (misses >= 0)
);

-- Of no tenant, and an operator's: what a site has said, and how many requests the site
-- takes of each tenant and of all tenants together.
create table web.rate_limits (
    domain             text primary key check (length(domain) between 1 and 253 and domain = lower(domain)),
    status             text not null default 'ok' check (status in ('ok', 'throttled', 'blocked')),
    requests_in_window integer not null default 0 check (requests_in_window >= 0),
    window_end         timestamptz not null,
    backoff_until      timestamptz,
    backoff_count      integer not null default 0 check (backoff_count >= 0),
    last_request       timestamptz not null default now(),
    consecutive_errors integer not null default 0 check (consecutive_errors >= 0),
    window_ms          bigint check (window_ms between 1 and 86400000),
    tenant_limit       integer check (tenant_limit > 0),
    total_limit        integer check (total_limit > 0),
    last_error_message text,
    last_error_at      timestamptz,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now()
);
create index rate_limits_status_idx on web.rate_limits (status);
create index rate_limits_backoff_idx on web.rate_limits (backoff_until);
create index rate_limits_window_idx on web.rate_limits (window_end);

-- The requests of a tenant to a site. Each tenant has rows of its own: the name of a site
-- is the tenant's text, and a row of all tenants would be locked until a tenant commits.
create table web.tenant_requests (
    tenant_id          text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    domain             text not null check (length(domain) between 1 and 253 and domain = lower(domain)),
    requests_in_window integer not null default 0 check (requests_in_window >= 0),
    window_end         timestamptz not null,
    last_request       timestamptz not null default now(),
    total_requests     bigint not null default 0 check (total_requests >= 0),
    primary key (tenant_id, domain)
);

-- The requests that each tenant was allowed in its window, for the sites that an operator
-- has limited for all tenants together: numbers alone, which are summed. The shard is the
-- hash of a tenant's name, so that no tenant waits for the row of another.
create table web.site_requests (
    domain     text not null references web.rate_limits on delete cascade,
    shard      bigint not null,
    requests   integer not null check (requests >= 0),
    window_end timestamptz not null,
    primary key (domain, shard)
);

create table web.traversals (
    tenant_id             text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                    uuid not null default gen_random_uuid(),
    session_id            text not null check (length(session_id) between 1 and 64),
    start_url             text not null,
    max_depth             integer not null default 3 check (max_depth between 1 and 10),
    max_pages             integer not null default 50 check (max_pages >= 1),
    strategy              text not null check (strategy in ('breadth_first', 'depth_first', 'relevance_based')),
    same_domain_only      boolean not null default true,
    respect_robots_txt    boolean not null default true,
    status                text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
    total_content_bytes   bigint not null default 0 check (total_content_bytes >= 0),
    rate_limit_encounters integer not null default 0 check (rate_limit_encounters >= 0),
    started_at            timestamptz not null default now(),
    completed_at          timestamptz,
    error_message         text,
    config_metadata       jsonb not null default '{}',
    primary key (tenant_id, id),
    constraint traversals_session_key unique (tenant_id, session_id)
);
create index traversals_status_idx on web.traversals (tenant_id, status, started_at desc);

create table web.traversal_nodes (
    tenant_id     text not null default app.current_tenant(),
    id            uuid not null default gen_random_uuid(),
    traversal_id  uuid not null,
    url           text not null,
    depth         integer not null check (depth >= 0),
    status        text not null default 'pending' check (status in ('pending', 'visited', 'skipped', 'error')),
    content_id    uuid,
    parent_id     uuid,
    link_text     text,
    link_type     text check (link_type in ('internal', 'external')),
    discovered_at timestamptz not null default now(),
    visited_at    timestamptz,
    error_message text,
    primary key (tenant_id, id),
    constraint traversal_nodes_url_key unique (tenant_id, traversal_id, url),
    foreign key (tenant_id, traversal_id) references web.traversals on delete cascade,
    foreign key (tenant_id, content_id) references web.contents on delete set null (content_id),
    foreign key (tenant_id, parent_id) references web.traversal_nodes on delete set null (parent_id)
);
create index traversal_nodes_status_idx on web.traversal_nodes (tenant_id, traversal_id, status);
create index traversal_nodes_content_idx on web.traversal_nodes (tenant_id, content_id);
create index traversal_nodes_parent_idx on web.traversal_nodes (tenant_id, parent_id);

create table web.extraction_metrics (
    tenant_id            text not null default app.current_tenant(),
    id                   uuid not null default gen_random_uuid(),
    content_id           uuid not null,
    total_time_ms        bigint not null check (total_time_ms >= 0),
    fetch_time_ms        bigint not null check (fetch_time_ms >= 0),
    parse_time_ms        bigint not null check (parse_time_ms >= 0),
    sanitize_time_ms     bigint not null check (sanitize_time_ms >= 0),
    status_code          integer not null,
    content_type         text check (length(content_type) <= 100),
    content_length       bigint check (content_length >= 0),
    redirect_count       integer not null default 0 check (redirect_count >= 0),
    ssl_verified         boolean not null,
    malicious_detected   boolean not null default false,
    sanitization_applied boolean not null default false,
    extracted_at         timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, content_id) references web.contents on delete cascade
);
create index extraction_metrics_content_idx on web.extraction_metrics (tenant_id, content_id);
create index extraction_metrics_extracted_idx on web.extraction_metrics (tenant_id, extracted_at desc);
create index extraction_metrics_time_idx on web.extraction_metrics (tenant_id, total_time_ms);
create index extraction_metrics_status_idx on web.extraction_metrics (tenant_id, status_code);

create trigger touch_updated_at before update on web.rate_limits for each row execute function app.touch_updated_at();
create trigger refuse_tenants before insert or update or delete on web.rate_limits for each statement execute function app.refuse_tenants();

-- A tenant writes the row of its own shard alone.
-- +goose StatementBegin
create function web.refuse_other_shards() returns trigger language plpgsql as $$
declare
    mine constant bigint := hashtextextended(app.current_tenant(), 0);
begin
    if (tg_op <> 'INSERT' and old.shard <> mine) or (tg_op <> 'DELETE' and new.shard is distinct from mine) then
        raise insufficient_privilege using message = 'a session of a tenant writes the counts of its tenant alone';
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    return new;
end $$;
-- +goose StatementEnd
create trigger refuse_other_shards before insert or update or delete on web.site_requests for each row execute function web.refuse_other_shards();

-- The setting is read in a sub-select, so once per statement and not per row;
-- empty means nobody.
-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['contents', 'cache', 'cache_counters', 'tenant_requests', 'traversals', 'traversal_nodes', 'extraction_metrics'] loop
        execute format('alter table web.%I enable row level security', t);
        execute format('alter table web.%I force row level security', t);
        execute format('create policy tenant_select on web.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on web.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on web.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on web.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

-- Counted when asked, so that no node has to change its traversal's row.
-- security_invoker: a view would read as its owner else.
create view web.traversal_stats with (security_invoker = true) as
select t.tenant_id, t.id as traversal_id, t.session_id, t.status, t.total_content_bytes, t.rate_limit_encounters, t.started_at, t.completed_at,
       n.pages_visited, n.pages_skipped, n.errors_encountered, n.pages_pending, n.max_depth_reached
from web.traversals t
cross join lateral (
    select count(*) filter (where status = 'visited') as pages_visited, count(*) filter (where status = 'skipped') as pages_skipped,
           count(*) filter (where status = 'error') as errors_encountered, count(*) filter (where status = 'pending') as pages_pending,
           coalesce(max(depth) filter (where status <> 'pending'), 0) as max_depth_reached
    from web.traversal_nodes where tenant_id = t.tenant_id and traversal_id = t.id
) n;

-- +goose Down
-- The schema app stays: other modules may use it.
drop schema web cascade;
