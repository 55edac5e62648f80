-- The old shared tables, as far as the move reads them. Foreign keys were missing or not
-- validated in places, so the tables have none here: orphans are rows to count.
create table agent_profiles (id uuid primary key default gen_random_uuid(), tenant_id varchar(255), name varchar(255) not null, model_family varchar(50) not null,
    registered_at timestamptz not null default now(), last_active_at timestamptz not null default now(), created_at timestamptz not null default now(), updated_at timestamptz not null default now());
create table agent_capabilities (id uuid primary key default gen_random_uuid(), agent_id uuid not null, capability_type varchar(50) not null, capability_value varchar(100) not null, created_at timestamptz not null default now());
create table agent_performance_history (agent_id uuid primary key, success_rate numeric(5,4) not null default 0.8, average_quality numeric(5,4) not null default 0.7,
    average_latency_ms integer not null default 5000, task_count integer not null default 0);
create table agent_performance_events (id uuid primary key default gen_random_uuid(), agent_id uuid not null, task_id varchar(255), success boolean not null, quality_score numeric(5,4) not null,
    latency_ms integer not null, tokens_used integer, task_type varchar(50), recorded_at timestamptz not null default now());
create table current_load (agent_id uuid primary key, active_tasks integer not null default 0, queued_tasks integer not null default 0, utilization_percent numeric(5,2) not null default 0);
create table knowledge_queries (id uuid primary key default gen_random_uuid(), query_text text not null, query_type varchar(20) not null, requester_id varchar(255) not null, priority integer not null default 1,
    max_results integer not null default 10, relevance_threshold numeric(3,2) not null default 0.5, timeout_ms bigint not null default 30000, context jsonb not null default '{}', tags text[] not null default '{}',
    status varchar(20) not null default 'pending', created_at timestamptz not null default now(), processed_at timestamptz, error_message text, retry_count integer not null default 0);
create table search_results (id uuid primary key default gen_random_uuid(), query_id uuid not null, title text not null, content text not null, url text not null, domain varchar(255) not null, source_type varchar(20) not null,
    relevance_score numeric(3,2) not null, credibility_score numeric(3,2) not null, quality varchar(20) not null default 'medium', provider varchar(100) not null, provider_metadata jsonb not null default '{}',
    published_at timestamptz, created_at timestamptz not null default now(), content_hash varchar(64));
create table knowledge_responses (id uuid primary key default gen_random_uuid(), query_id uuid not null, summary text not null, confidence numeric(3,2) not null, sources_used text[] not null default '{}',
    providers_queried text[] not null default '{}', total_results_found integer not null default 0, results_filtered integer not null default 0, processing_time_ms bigint not null, cache_used boolean not null default false,
    relevance_score_avg numeric(3,2), credibility_score_avg numeric(3,2), diversity_score numeric(3,2), created_at timestamptz not null default now());
create table search_provider_health (id uuid primary key default gen_random_uuid(), provider_name varchar(100) not null unique, available boolean not null default true, last_health_check timestamptz not null default now(),
    consecutive_failures integer not null default 0, avg_response_time_ms numeric(8,2), error_rate numeric(5,4) default 0, rate_limit_remaining integer, rate_limit_reset_at timestamptz, last_error_message text, last_error_at timestamptz);
create table web_content (id uuid primary key default gen_random_uuid(), url text not null, title text not null, content text not null, html text, content_hash varchar(64) not null, quality varchar(20) not null default 'unknown',
    metadata jsonb not null default '{}', extraction_type varchar(20) not null default 'main_content', extracted_at timestamptz not null default now(), cached_until timestamptz not null, extraction_time_ms bigint not null default 0, content_size_bytes integer not null);
create table web_traversals (id uuid primary key default gen_random_uuid(), session_id varchar(64) not null, start_url text not null, max_depth integer not null default 3, max_pages integer not null default 50, strategy varchar(20) not null,
    same_domain_only boolean not null default true, respect_robots_txt boolean not null default true, status varchar(20) not null default 'pending', total_content_bytes bigint not null default 0, rate_limit_encounters integer not null default 0,
    started_at timestamptz not null default now(), completed_at timestamptz, error_message text, config_metadata jsonb not null default '{}');
create table web_traversal_nodes (id uuid primary key default gen_random_uuid(), traversal_id uuid not null, url text not null, depth integer not null, status varchar(20) not null default 'pending', content_id uuid, parent_id uuid,
    link_text text, link_type varchar(20), discovered_at timestamptz not null default now(), visited_at timestamptz, error_message text);
create table web_extraction_metrics (id uuid primary key default gen_random_uuid(), content_id uuid not null, total_time_ms bigint not null, fetch_time_ms bigint not null, parse_time_ms bigint not null, sanitize_time_ms bigint not null,
    status_code integer not null, content_type varchar(100), content_length integer, redirect_count integer not null default 0, ssl_verified boolean not null, malicious_detected boolean not null default false,
    sanitization_applied boolean not null default false, extracted_at timestamptz not null default now());
create table web_rate_limits (domain varchar(255) primary key, status varchar(20) not null default 'ok', requests_in_window integer not null default 0, window_end timestamptz not null, backoff_until timestamptz, backoff_count integer not null default 0,
    last_request timestamptz not null default now());
create table verification_requests (id uuid primary key default gen_random_uuid(), content text not null, source text, context text, priority varchar(20) not null default 'medium', timeout_ms bigint not null default 30000,
    verification_types text[] not null default '{}', metadata jsonb not null default '{}', status varchar(20) not null default 'pending', created_at timestamptz not null default now(), started_at timestamptz, completed_at timestamptz,
    processing_time_ms bigint, error_message text, error_code varchar(50), retry_count integer not null default 0, max_retries integer not null default 3);
create table verification_results (id uuid primary key default gen_random_uuid(), request_id uuid not null, verdict varchar(30) not null, confidence numeric(3,2) not null, reasoning text[] not null default '{}', verification_methods jsonb not null default '[]',
    processing_time_ms bigint not null, created_at timestamptz not null default now(), error_message text, error_code varchar(50), verified_by varchar(100), verification_version varchar(20));
create table verification_evidence (id uuid primary key default gen_random_uuid(), result_id uuid not null, request_id uuid not null, source_url text, source_title text, source_publisher varchar(255), content_excerpt text, content_hash varchar(64),
    relevance_score numeric(3,2) not null, credibility_score numeric(3,2) not null, supporting_claim boolean not null, evidence_type varchar(30) not null default 'general', publish_date timestamptz, access_date timestamptz not null default now(),
    verification_method varchar(30), metadata jsonb not null default '{}', created_at timestamptz not null default now());
create table task_queue (id uuid primary key default gen_random_uuid(), task_id varchar(255) not null unique, task_type varchar(50) not null, description text not null, priority integer not null default 1, timeout_ms bigint not null default 30000,
    attempts integer not null default 0, max_attempts integer not null default 3, budget_max_files integer not null default 40, budget_max_loc integer not null default 1500, required_capabilities jsonb not null default '{}',
    task_metadata jsonb not null default '{}', status varchar(20) not null default 'queued', dequeued_at timestamptz, completed_at timestamptz, created_at timestamptz not null default now(), updated_at timestamptz not null default now());
create table task_assignments (id uuid primary key default gen_random_uuid(), assignment_id varchar(255) not null unique, task_id varchar(255) not null, agent_id varchar(255) not null, agent_name varchar(255) not null,
    agent_model_family varchar(50) not null, assigned_at timestamptz not null default now(), deadline timestamptz not null, assignment_timeout_ms bigint not null, routing_confidence numeric(3,2), routing_strategy varchar(30) not null,
    routing_reason text, status varchar(20) not null default 'assigned', acknowledged_at timestamptz, started_at timestamptz, completed_at timestamptz, progress numeric(3,2) default 0, error_message text, error_code varchar(100),
    last_progress_update timestamptz not null default now(), created_at timestamptz not null default now(), assignment_metadata jsonb not null default '{}');
create table task_execution_history (id uuid primary key default gen_random_uuid(), task_id varchar(255) not null, assignment_id varchar(255), attempt_number integer not null default 1, started_at timestamptz not null, completed_at timestamptz,
    execution_time_ms bigint, agent_id varchar(255) not null, agent_name varchar(255) not null, success boolean, quality_score numeric(3,2), tokens_used integer, error_message text, caws_passed boolean, caws_violations jsonb default '[]',
    caws_budget_used_files integer, caws_budget_used_loc integer, execution_metadata jsonb not null default '{}', created_at timestamptz not null default now());
create table queue_statistics (id uuid primary key default gen_random_uuid(), recorded_at timestamptz not null default now(), queue_depth integer not null default 0, total_enqueued bigint not null default 0, total_dequeued bigint not null default 0,
    total_completed bigint not null default 0, total_failed bigint not null default 0, average_wait_time_ms numeric(10,2), average_processing_time_ms numeric(10,2), max_wait_time_ms bigint,
    priority_distribution jsonb not null default '{}', status_distribution jsonb not null default '{}');
