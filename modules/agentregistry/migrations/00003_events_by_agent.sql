-- +goose Up
-- The order of a page of an agent's outcomes: without the id the server sorts all outcomes of the agent.
create index performance_events_page_idx on registry.performance_events (tenant_id, agent_id, recorded_at desc, id desc);
drop index registry.performance_events_agent_idx;

-- +goose Down
create index performance_events_agent_idx on registry.performance_events (tenant_id, agent_id, recorded_at desc);
drop index registry.performance_events_page_idx;
