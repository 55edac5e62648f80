-- Rows of three kinds of tenants: agents name a tenant, moving.owners names a tenant, or the
-- default holds. Some rows are orphans, or break a constraint of the new tables.
insert into agent_profiles (id, tenant_id, name, model_family)
    select md5('agent ' || g)::uuid, case when g <= 2 then 'acme' when g <= 10 then 'default-tenant' end, 'agent ' || g, 'claude-3' from generate_series(1, 20) g;
insert into agent_profiles (id, tenant_id, name, model_family) values ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'default-tenant', 'agent 9', 'a name for the second time');
insert into agent_capabilities (agent_id, capability_type, capability_value) select id, 'language', 'Go' from agent_profiles;
-- Agent 20 has neither performance nor load.
insert into agent_performance_history (agent_id, success_rate, task_count) select id, 0.6, 2 from agent_profiles where name <> 'agent 20';
insert into current_load (agent_id, active_tasks) select id, 1 from agent_profiles where name <> 'agent 20';
insert into agent_performance_events (agent_id, success, quality_score, latency_ms, task_type) select id, g = 1, 0.5, 10, 'research' from agent_profiles, generate_series(1, 2) g;
insert into agent_performance_events (agent_id, success, quality_score, latency_ms) values (gen_random_uuid(), true, 0.5, 10);
insert into knowledge_queries (id, query_text, query_type, requester_id) select md5('query ' || g)::uuid, 'text ' || g, 'factual', md5('agent ' || g)::uuid::text from generate_series(1, 20) g;
insert into search_results (query_id, title, content, url, domain, source_type, relevance_score, credibility_score, provider) select id, 't', query_text, 'https://example.com/', 'example.com', 'web', 0.5, 0.5, 'p' from knowledge_queries;
insert into knowledge_responses (query_id, summary, confidence, processing_time_ms) select id, 's', 0.5, 1 from knowledge_queries;
insert into search_provider_health (provider_name) values ('google'), ('bing');
insert into web_content (id, url, title, content, content_hash, cached_until, content_size_bytes)
    select md5('page ' || g)::uuid, 'https://example.com/' || g, 't', 'c', encode(sha256('c'), 'hex'), now() + interval '1 day', 1 from generate_series(1, 20) g;
insert into web_traversals (id, session_id, start_url, strategy) values (md5('walk')::uuid, 'walk', 'https://example.com/', 'breadth_first');
insert into web_traversal_nodes (id, traversal_id, url, depth, status, content_id, parent_id)
    select md5('node ' || g)::uuid, md5('walk')::uuid, 'https://example.com/' || g, 1, 'visited', md5('page ' || g)::uuid, case when g > 1 then md5('node ' || g - 1)::uuid end from generate_series(1, 20) g;
insert into web_traversal_nodes (id, traversal_id, url, depth) values ('ffffffff-ffff-ffff-ffff-ffffffffffff', md5('walk')::uuid, 'https://example.com/7', 1);
insert into web_extraction_metrics (content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, ssl_verified) select id, 1, 1, 1, 1, 200, true from web_content;
insert into web_rate_limits (domain, window_end) values ('Example.com', now()), ('example.com', now());
insert into verification_requests (id, content) select md5('request ' || g)::uuid, 'c' from generate_series(1, 20) g;
insert into verification_results (id, request_id, verdict, confidence, processing_time_ms, verification_methods)
    select md5('result ' || id)::uuid, id, 'mixed', 0.5, 1, '[{"method": "fact_checking", "verdict": "mixed", "confidence": 0.5}]' from verification_requests;
insert into verification_evidence (result_id, request_id, source_title, relevance_score, credibility_score, supporting_claim, verification_method, created_at)
    select id, request_id, 'title ' || g, 0.5, 0.5, true, 'fact_checking', now() - interval '1 day' + g * interval '1 minute' from verification_results, generate_series(1, 3) g;
-- The even tasks wait, task 1 runs, and the odd tasks are done. Task 20 is the oldest.
insert into task_queue (task_id, task_type, description, timeout_ms, status, created_at, dequeued_at, completed_at)
    select 'task ' || g, 'general', 'd', 3600000, case when g % 2 = 0 then 'queued' when g = 1 then 'dequeued' else 'completed' end, created, case when g % 2 = 1 then now() end, case when g % 2 = 1 and g > 1 then now() + interval '2 seconds' end
    from generate_series(1, 20) g, lateral (select now() - g * interval '1 minute' as created) c;
insert into task_assignments (assignment_id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms, routing_strategy, status)
    select 'a ' || task_id, task_id, 'ada', 'Ada', 'm', now() + interval '1 hour', 1000, 'ucb', 'completed' from task_queue where status = 'completed';
insert into task_execution_history (task_id, assignment_id, started_at, completed_at, agent_id, agent_name, success) select task_id, assignment_id, now(), now(), 'ada', 'Ada', true from task_assignments;
insert into queue_statistics (queue_depth) values (7);
insert into moving.owners select 'knowledge_queries', id::text, 'acme' from knowledge_queries where query_text in ('text 1', 'text 2');
insert into moving.owners select 'task_queue', id::text, 'acme' from task_queue where task_id in ('task 2', 'task 4');
