-- +goose Up
create schema notes;
create table notes.notes (
    tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
    id bigint generated always as identity,
    author text not null default nullif(current_setting('app.current_user', true), ''),
    body text not null,
    primary key (tenant_id, id)
);
alter table notes.notes enable row level security;
alter table notes.notes force row level security;
create policy tenant_isolation on notes.notes
    using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
    with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
-- +goose Down
drop schema notes cascade;
