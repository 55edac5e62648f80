-- +goose Up
create schema notes;
create table notes.notes (
    tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
    body text not null
);
create index on notes.notes (tenant_id);
alter table notes.notes enable row level security;
alter table notes.notes force row level security;
create policy tenant_isolation on notes.notes
    using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
    with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));

-- +goose Down
drop schema notes cascade;
