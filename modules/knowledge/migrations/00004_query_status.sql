-- +goose Up
-- A page of the queries in a status is a range of the index. Without the key in the index, a plan
-- for any status walks over all queries of the tenant, in the order of their age.
drop index knowledge.queries_status_idx;
create index queries_status_idx on knowledge.queries (tenant_id, status, created_at, id);
-- A page of all queries: without the id, queries of the same moment are sorted.
drop index knowledge.queries_created_idx;
create index queries_created_idx on knowledge.queries (tenant_id, created_at, id);

-- +goose Down
drop index knowledge.queries_created_idx;
create index queries_created_idx on knowledge.queries (tenant_id, created_at desc);
drop index knowledge.queries_status_idx;
create index queries_status_idx on knowledge.queries (tenant_id, status);
