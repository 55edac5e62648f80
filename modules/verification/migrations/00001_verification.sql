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

create schema verification;

-- No GIN index on the words: @@ is not leakproof, so behind row-level security the
-- server never asks one, and it would only make writes dearer.
-- A tsvector holds one megabyte at most, and an insert beyond it fails: what is
-- searched is the beginning of a text. The same holds for evidence.
create table verification.requests (
    tenant_id          text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    id                 text not null check (length(id) between 1 and 255),
    content            text not null,
    source             text,
    context            text,
    priority           text not null default 'medium' check (priority in ('low', 'medium', 'high', 'critical')),
    timeout_ms         bigint not null default 30000 check (timeout_ms > 0),
    verification_types text[] not null default '{}' check (verification_types <@ '{fact_checking,source_credibility,cross_reference,consistency_check,logical_validation,statistical_validation,insufficient_data}'),
    metadata           jsonb not null default '{}',
    status             text not null default 'pending' check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    created_at         timestamptz not null default now(),
    started_at         timestamptz,
    completed_at       timestamptz,
    processing_time_ms bigint check (processing_time_ms >= 0),
    error_message      text,
    error_code         text check (length(error_code) <= 50),
    retry_count        integer not null default 0 check (retry_count >= 0),
    max_retries        integer not null default 3 check (max_retries >= 0),
    cache_key          text not null check (length(cache_key) = 64),
    content_vector     tsvector not null generated always as (
        setweight(to_tsvector('english', left(content, 100000)), 'A') || setweight(to_tsvector('english', left(coalesce(context, ''), 100000)), 'B')
    ) stored,
    primary key (tenant_id, id)
);
create index requests_status_idx on verification.requests (tenant_id, status, created_at);
-- The priorities by their rank: as words they would be critical, high, low, medium.
create index requests_pending_idx on verification.requests (
    tenant_id, (case priority when 'critical' then 1 when 'high' then 2 when 'medium' then 3 else 4 end), created_at, id
) where status = 'pending';
create index requests_cache_key_idx on verification.requests (tenant_id, cache_key);

create table verification.results (
    tenant_id              text not null default app.current_tenant(),
    id                     uuid not null default gen_random_uuid(),
    request_id             text not null,
    verdict                text not null check (verdict in ('verified_true', 'verified_false', 'partially_true', 'unverified', 'contradictory', 'insufficient_data', 'mixed', 'error')),
    confidence             double precision not null check (confidence between 0 and 1),
    reasoning              text[] not null default '{}',
    verification_methods   jsonb not null default '[]',
    processing_time_ms     bigint not null check (processing_time_ms >= 0),
    created_at             timestamptz not null default now(),
    evidence_quality_score double precision check (evidence_quality_score between 0 and 1),
    consensus_strength     double precision check (consensus_strength between 0 and 1),
    error_message          text,
    error_code             text check (length(error_code) <= 50),
    verified_by            text,
    verification_version   text,
    primary key (tenant_id, id),
    foreign key (tenant_id, request_id) references verification.requests on delete cascade
);
create index results_request_idx on verification.results (tenant_id, request_id, created_at desc);

-- seq is the order in which it was given.
create table verification.evidence (
    tenant_id           text not null default app.current_tenant(),
    id                  uuid not null default gen_random_uuid(),
    seq                 bigint not null generated always as identity,
    result_id           uuid not null,
    request_id          text not null,
    source_url          text,
    source_title        text,
    source_publisher    text,
    content_excerpt     text,
    content_hash        text,
    relevance_score     double precision not null check (relevance_score between 0 and 1),
    credibility_score   double precision not null check (credibility_score between 0 and 1),
    supporting_claim    boolean not null,
    evidence_type       text not null default 'general' check (evidence_type in ('factual', 'statistical', 'testimonial', 'logical', 'anecdotal', 'general')),
    publish_date        timestamptz,
    access_date         timestamptz not null default now(),
    verification_method text check (verification_method in ('fact_checking', 'source_credibility', 'cross_reference', 'consistency_check', 'logical_validation', 'statistical_validation', 'insufficient_data')),
    metadata            jsonb not null default '{}',
    created_at          timestamptz not null default now(),
    content_vector      tsvector not null generated always as (
        setweight(to_tsvector('english', left(coalesce(content_excerpt, ''), 100000)), 'A') || setweight(to_tsvector('english', left(coalesce(source_title, ''), 10000)), 'B')
    ) stored,
    primary key (tenant_id, id),
    foreign key (tenant_id, result_id) references verification.results on delete cascade,
    foreign key (tenant_id, request_id) references verification.requests on delete cascade
);
create index evidence_result_idx on verification.evidence (tenant_id, result_id, seq);
create index evidence_request_idx on verification.evidence (tenant_id, request_id);
create index evidence_method_idx on verification.evidence (tenant_id, verification_method);

-- Of no tenant: how an operator has set a method up, and the runs that belong to no
-- tenant. A method's success says nothing about its accuracy, which needs labelled data.
create table verification.methods (
    method_type              text primary key check (method_type in ('fact_checking', 'source_credibility', 'cross_reference', 'consistency_check', 'logical_validation', 'statistical_validation', 'insufficient_data')),
    enabled                  boolean not null default true,
    priority                 integer not null default 1 check (priority between 1 and 10),
    timeout_ms               bigint not null default 10000 check (timeout_ms > 0),
    config                   jsonb not null default '{}',
    total_requests           bigint not null default 0 check (total_requests >= 0),
    successful_requests      bigint not null default 0 check (successful_requests >= 0),
    failed_requests          bigint not null default 0 check (failed_requests >= 0),
    total_processing_time_ms double precision not null default 0 check (total_processing_time_ms >= 0),
    last_used_at             timestamptz,
    last_error_at            timestamptz,
    last_error_message       text,
    accuracy_rate            double precision check (accuracy_rate between 0 and 1),
    false_positive_rate      double precision check (false_positive_rate between 0 and 1),
    precision_rate           double precision check (precision_rate between 0 and 1),
    recall_rate              double precision check (recall_rate between 0 and 1),
    version                  text not null default '1.0.0',
    created_at               timestamptz not null default now(),
    updated_at               timestamptz not null default now()
);
insert into verification.methods (method_type, priority, timeout_ms, enabled, config) values
    ('fact_checking', 1, 10000, true, '{}'),
    ('source_credibility', 2, 5000, true, '{}'),
    ('cross_reference', 3, 15000, true, '{"max_sources": 5, "min_consensus": 0.7}'),
    ('consistency_check', 4, 8000, true, '{}'),
    ('logical_validation', 5, 12000, true, '{}'),
    ('statistical_validation', 6, 10000, true, '{}'),
    ('insufficient_data', 10, 1000, false, '{}');

-- The runs of a tenant. Each tenant has rows of its own: the error of a run holds what
-- the tenant verifies, and a row of all tenants would be locked until a tenant commits.
create table verification.method_runs (
    tenant_id                text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    method_type              text not null check (method_type in ('fact_checking', 'source_credibility', 'cross_reference', 'consistency_check', 'logical_validation', 'statistical_validation', 'insufficient_data')),
    total_requests           bigint not null default 0 check (total_requests >= 0),
    successful_requests      bigint not null default 0 check (successful_requests >= 0),
    failed_requests          bigint not null default 0 check (failed_requests >= 0),
    total_processing_time_ms double precision not null default 0 check (total_processing_time_ms >= 0),
    last_used_at             timestamptz,
    last_error_at            timestamptz,
    last_error_message       text,
    primary key (tenant_id, method_type)
);

create table verification.cache (
    tenant_id        text not null default app.current_tenant() check (length(tenant_id) between 1 and 255),
    cache_key        text not null check (length(cache_key) = 64),
    result_data      jsonb not null,
    result_hash      text not null check (length(result_hash) = 64),
    created_at       timestamptz not null default now(),
    expires_at       timestamptz not null,
    access_count     bigint not null default 0 check (access_count >= 0),
    last_accessed_at timestamptz not null default now(),
    size_bytes       bigint not null check (size_bytes >= 0),
    primary key (tenant_id, cache_key)
);
create index cache_expires_idx on verification.cache (tenant_id, expires_at);

create table verification.cache_counters (
    tenant_id text not null default app.current_tenant() check (length(tenant_id) between 1 and 255) primary key,
    hits      bigint not null default 0 check (hits >= 0),
    misses    bigint not null default 0 check (misses >= 0)
);

create trigger touch_updated_at before update on verification.methods for each row execute function app.touch_updated_at();
create trigger refuse_tenants before insert or update or delete on verification.methods for each statement execute function app.refuse_tenants();

-- The setting is read in a sub-select, so once per statement and not per row;
-- empty means nobody.
-- +goose StatementBegin
do $$
declare
    t text;
    mine constant text := 'tenant_id = nullif((select current_setting(''app.current_tenant'', true)), '''')';
begin
    foreach t in array array['requests', 'results', 'evidence', 'method_runs', 'cache', 'cache_counters'] loop
        execute format('alter table verification.%I enable row level security', t);
        execute format('alter table verification.%I force row level security', t);
        execute format('create policy tenant_select on verification.%I for select using (%s)', t, mine);
        execute format('create policy tenant_insert on verification.%I for insert with check (%s)', t, mine);
        execute format('create policy tenant_update on verification.%I for update using (%s) with check (%s)', t, mine, mine);
        execute format('create policy tenant_delete on verification.%I for delete using (%s)', t, mine);
    end loop;
end $$;
-- +goose StatementEnd

-- +goose Down
-- The schema app stays: other modules may use it.
drop schema verification cascade;
