-- +goose Up
create schema orders;
create table orders.orders (
	tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
	name text not null,
	shipped int not null default 0,
	primary key (tenant_id, name)
);
alter table orders.orders enable row level security;
alter table orders.orders force row level security;
create policy tenant_isolation on orders.orders
	using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
	with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
-- +goose Down
drop schema orders cascade;
