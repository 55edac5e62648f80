-- +goose Up
-- The key of the hashes begins with the query: a second index on the query costs each write.
drop index knowledge.search_results_query_idx;

-- +goose Down
create index search_results_query_idx on knowledge.search_results (tenant_id, query_id);
