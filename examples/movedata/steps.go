package main

import (
	"cmp"
	"fmt"
	"strings"
)

// step moves the rows of an old table. o is a row of the old table, n a row of the new table.
type step struct {
	old, new string
	key      string // the old table's primary key; default id
	keyType  string // default uuid
	order    string // of the moved rows; default the key
	match    string // ties n to o
	owner           // none: the rows are of no tenant
	columns  string // lines of the new table's columns: names of both tables, or "name = expression"
	finish   string // SQL after the rows of a tenant
	follows  bool   // rows that finish adds follow the rows of an earlier step
}

// owner returns the owner of row o.
type owner struct {
	of     string // whether o belongs to the session's tenant
	parent string // whether o's parent is in the old tables; empty: no parent
}

// root is a row that names the tenant, or a row that moving.owners or the default gives a tenant.
func root(table, tenant string) owner {
	return owner{of: fmt.Sprintf("coalesce(%s, (select w.tenant_id from moving.owners w where w.old_table = '%s' and w.old_id = o.id::text), @default::text) = @tenant::text", tenant, table)}
}

// child is a row whose parent has moved: row-level security hides the parents of other tenants.
// ref is the parent's key as the new table has the key.
func child(newParent, ref, oldParent, oldKey string) owner {
	return owner{
		of:     fmt.Sprintf("exists (select from %s p where p.id = %s)", newParent, ref),
		parent: fmt.Sprintf("exists (select from %s p where p.%s = %s)", oldParent, oldKey, strings.TrimSuffix(ref, "::text")),
	}
}

// insert is the statement that moves the rows of a batch.
func (s step) insert() string {
	var columns, values []string
	for line := range strings.SplitSeq(s.columns, ",\n") {
		name, value, found := strings.Cut(strings.TrimSpace(line), " = ")
		if found {
			columns, values = append(columns, name), append(values, value)
			continue
		}
		for name := range strings.SplitSeq(name, ", ") {
			columns, values = append(columns, name), append(values, "o."+name)
		}
	}
	return fmt.Sprintf("insert into %s (%s) select %s from %s o where o.%s = any(@keys::text[]::%s[]) order by %s",
		s.new, strings.Join(columns, ", "), strings.Join(values, ", "), s.old, s.key, s.keyType, s.order)
}

var (
	ofAgent   = child("registry.agents", "o.agent_id::text", "agent_profiles", "id")
	ofQuery   = child("knowledge.queries", "o.query_id::text", "knowledge_queries", "id")
	ofContent = child("web.contents", "o.content_id", "web_content", "id")
	ofTask    = child("orchestrator.tasks", "o.task_id", "task_queue", "task_id")
)

// steps come in the order of the foreign keys. The caches stay behind: caches refill. An operator
// compares verification_methods and queue_configuration, whose new tables have rows already.
var steps = withDefaults(
	step{
		old: "agent_profiles", new: "registry.agents", match: "n.id = o.id::text", owner: root("agent_profiles", "o.tenant_id"),
		columns: `id = o.id::text,
			name, model_family, registered_at, last_active_at, created_at, updated_at`,
	},
	step{
		old: "agent_capabilities", new: "registry.agent_capabilities", owner: ofAgent,
		match: "n.agent_id = o.agent_id::text and n.kind = o.capability_type and n.value = o.capability_value",
		columns: `agent_id = o.agent_id::text,
			kind = o.capability_type,
			value = o.capability_value,
			created_at`,
	},
	step{
		// The new clients find no agent without a row of performance: an agent that had no row gets the prior.
		old: "agent_performance_history", new: "registry.agent_performance", key: "agent_id", match: "n.agent_id = o.agent_id::text", owner: ofAgent,
		columns: `agent_id = o.agent_id::text,
			success_rate, average_quality, average_latency_ms, task_count`,
		finish: `insert into registry.agent_performance (agent_id) select a.id from registry.agents a
			where not exists (select from agent_performance_history o where o.agent_id::text = a.id)
			  and not exists (select from registry.agent_performance p where p.agent_id = a.id)`,
		follows: true,
	},
	step{
		old: "current_load", new: "registry.agent_load", key: "agent_id", match: "n.agent_id = o.agent_id::text", owner: ofAgent,
		columns: `agent_id = o.agent_id::text,
			active_tasks, queued_tasks,
			utilization_percent = least(100, o.active_tasks * 100.0 / (select a.max_concurrent_tasks from registry.agents a where a.id = o.agent_id::text))`,
		finish: `insert into registry.agent_load (agent_id) select a.id from registry.agents a
			where not exists (select from current_load o where o.agent_id::text = a.id)
			  and not exists (select from registry.agent_load l where l.agent_id = a.id)`,
		follows: true,
	},
	step{
		// No trigger keeps the sums of an agent's events, nor the order of a search.
		old: "agent_performance_events", new: "registry.performance_events", match: "n.id = o.id", owner: ofAgent,
		columns: `id,
			agent_id = o.agent_id::text,
			task_id, success, quality_score, latency_ms, tokens_used, task_type, recorded_at`,
		finish: "select registry.recount()",
	},
	step{
		old: "knowledge_queries", new: "knowledge.queries", match: "n.id = o.id::text", owner: root("knowledge_queries", "null"),
		columns: `id = o.id::text,
			query_text, query_type, requester_id, priority, max_results, relevance_threshold, timeout_ms,
			context = ` + object("o.context") + `,
			tags, status, created_at, processed_at, error_message, retry_count`,
	},
	step{
		old: "search_results", new: "knowledge.search_results", match: "n.id = o.id::text", owner: ofQuery,
		columns: `id = o.id::text,
			query_id = o.query_id::text,
			title, content, url, domain, source_type, relevance_score, credibility_score, quality, provider,
			provider_metadata = ` + object("o.provider_metadata") + `,
			published_at, created_at,
			retrieved_at = o.created_at,
			content_hash = coalesce(o.content_hash, encode(sha256(convert_to(coalesce(nullif(o.content, ''), o.url), 'UTF8')), 'hex'))`,
	},
	step{
		old: "knowledge_responses", new: "knowledge.responses", match: "n.id = o.id", owner: ofQuery,
		columns: `id,
			query_id = o.query_id::text,
			summary, confidence, sources_used, providers_queried, total_results_found, results_filtered, processing_time_ms, cache_used,
			relevance_score_avg, credibility_score_avg, diversity_score, created_at`,
	},
	step{
		old: "search_provider_health", new: "knowledge.provider_health", key: "provider_name", keyType: "text", match: "n.provider_name = o.provider_name",
		columns: `provider_name, available, last_health_check, consecutive_failures, avg_response_time_ms,
			error_rate = coalesce(o.error_rate, 0),
			rate_limit_remaining, rate_limit_reset_at, last_error_message, last_error_at`,
	},
	step{
		old: "web_content", new: "web.contents", match: "n.id = o.id", owner: root("web_content", "null"),
		columns: `id, url, title, content, html, content_hash, quality,
			metadata = ` + object("o.metadata") + `,
			extraction_type, extracted_at, cached_until, extraction_time_ms, content_size_bytes`,
	},
	step{
		old: "web_traversals", new: "web.traversals", match: "n.id = o.id", owner: root("web_traversals", "null"),
		columns: `id, session_id, start_url, max_depth, max_pages, strategy, same_domain_only, respect_robots_txt, status, total_content_bytes,
			rate_limit_encounters, started_at, completed_at, error_message,
			config_metadata = ` + object("o.config_metadata"),
	},
	step{
		// A parent may be in a later batch, so the parents come last.
		old: "web_traversal_nodes", new: "web.traversal_nodes", match: "n.id = o.id", owner: child("web.traversals", "o.traversal_id", "web_traversals", "id"),
		columns: `id, traversal_id, url, depth, status,
			content_id = (select c.id from web.contents c where c.id = o.content_id),
			link_text, link_type, discovered_at, visited_at, error_message`,
		finish: `update web.traversal_nodes n set parent_id = o.parent_id from web_traversal_nodes o
			where n.id = o.id and n.parent_id is null
			  and exists (select from web.traversal_nodes p where p.id = o.parent_id and p.traversal_id = n.traversal_id)`,
	},
	step{
		old: "web_extraction_metrics", new: "web.extraction_metrics", match: "n.id = o.id", owner: ofContent,
		columns: `id, content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, content_type, content_length, redirect_count,
			ssl_verified, malicious_detected, sanitization_applied, extracted_at`,
	},
	step{
		old: "web_rate_limits", new: "web.rate_limits", key: "domain", keyType: "text", match: "n.domain = lower(rtrim(o.domain, '.'))",
		columns: `domain = lower(rtrim(o.domain, '.')),
			status, requests_in_window, window_end, backoff_until, backoff_count, last_request`,
	},
	step{
		// The cache stays behind, and only the cache looks for the key.
		old: "verification_requests", new: "verification.requests", match: "n.id = o.id::text", owner: root("verification_requests", "null"),
		columns: `id = o.id::text,
			content, source, context, priority, timeout_ms, verification_types,
			metadata = ` + object("o.metadata") + `,
			status, created_at, started_at, completed_at, processing_time_ms, error_message, error_code, retry_count, max_retries,
			cache_key = encode(sha256(convert_to(o.content, 'UTF8')), 'hex')`,
	},
	step{
		old: "verification_results", new: "verification.results", match: "n.id = o.id",
		owner: child("verification.requests", "o.request_id::text", "verification_requests", "id"),
		columns: `id,
			request_id = o.request_id::text,
			verdict, confidence, reasoning, verification_methods, processing_time_ms, created_at, error_message, error_code, verified_by, verification_version,
			evidence_quality_score = (select avg(e.relevance_score * e.credibility_score) from verification_evidence e where e.result_id = o.id)`,
	},
	step{
		old: "verification_evidence", new: "verification.evidence", match: "n.id = o.id", order: "o.created_at, o.id",
		owner: child("verification.results", "o.result_id", "verification_results", "id"),
		columns: `id, result_id,
			request_id = o.request_id::text,
			source_url, source_title, source_publisher, content_excerpt, content_hash, relevance_score, credibility_score, supporting_claim,
			evidence_type, publish_date, access_date, verification_method, created_at,
			metadata = ` + object("o.metadata"),
	},
	step{
		// Tasks of the same priority wait in the order of the move.
		old: "task_queue", new: "orchestrator.tasks", match: "n.id = o.task_id", order: "o.created_at, o.id", owner: root("task_queue", "null"),
		columns: `id = o.task_id,
			task_type, description, priority, timeout_ms, attempts, max_attempts, budget_max_files, budget_max_loc,
			required_capabilities = ` + object("o.required_capabilities") + `,
			task_metadata = ` + object("o.task_metadata") + `,
			status, created_at, dequeued_at,
			completed_at = case when o.status in ('completed', 'failed', 'cancelled') then coalesce(o.completed_at, o.updated_at) end,
			deadline = coalesce(o.dequeued_at, o.created_at) + o.timeout_ms * interval '1 millisecond'`,
	},
	step{
		old: "task_assignments", new: "orchestrator.assignments", match: "n.id = o.assignment_id", owner: ofTask,
		columns: `id = o.assignment_id,
			task_id, agent_id, agent_name, agent_model_family, assigned_at, deadline, assignment_timeout_ms, routing_confidence, routing_strategy,
			routing_reason, status, acknowledged_at, started_at, completed_at, last_progress_update, error_message, error_code, created_at,
			progress = coalesce(o.progress, 0),
			assignment_metadata = ` + object("o.assignment_metadata"),
	},
	step{
		old: "task_execution_history", new: "orchestrator.executions", match: "n.id = o.id", owner: ofTask,
		columns: `id, task_id,
			assignment_id = (select a.id from orchestrator.assignments a where a.id = o.assignment_id),
			attempt_number, started_at, completed_at, execution_time_ms, agent_id, agent_name, success, quality_score, tokens_used, error_message, created_at,
			policy_passed = o.caws_passed,
			policy_violations = coalesce(o.caws_violations, '[]'),
			budget_used_files = o.caws_budget_used_files,
			budget_used_loc = o.caws_budget_used_loc,
			execution_metadata = ` + object("o.execution_metadata"),
	},
	step{
		old: "queue_statistics", new: "orchestrator.queue_stats", match: "n.id = o.id", owner: root("queue_statistics", "null"),
		columns: `id, recorded_at, queue_depth, total_enqueued, total_dequeued, total_completed, total_failed, average_wait_time_ms,
			average_processing_time_ms, max_wait_time_ms, priority_distribution, status_distribution`,
	},
)

func withDefaults(steps ...step) []step {
	for i := range steps {
		s := &steps[i]
		s.key, s.keyType = cmp.Or(s.key, "id"), cmp.Or(s.keyType, "uuid")
		s.order = cmp.Or(s.order, "o."+s.key)
	}
	return steps
}

// object wraps JSON that is no object: the new clients read objects.
func object(column string) string {
	return fmt.Sprintf("case when jsonb_typeof(%[1]s) = 'object' then %[1]s else jsonb_build_object('value', %[1]s) end", column)
}
