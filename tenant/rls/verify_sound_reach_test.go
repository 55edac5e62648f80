package rls_test

import "github.com/agentagency/onepool/tenant/rls"

// soundReach resembles brokenReach, brokenComparisons, brokenTriggers and brokenServer, and
// keeps tenants apart.
var soundReach = []soundCase{
	{name: "a child whose policy reads its parent", ddl: child(asksParent)},
	{name: "a child of a child whose policies read their parents", ddl: child(asksParent) + grandchild + forceFiles + "create policy p on shop.files using (exists (select from shop.notes n where n.id = note_id))"},
	{name: "a child whose policy reads its parent in a function", ddl: `create function shop.owns(org text, order_id bigint) returns boolean language sql stable as 'select exists (select from shop.orders o where o.tenant_id = org and o.id = order_id)';` +
		child("create policy p on shop.notes using (shop.owns(org, order_id))")},
	{name: "a child with an open policy behind a restrictive one", ddl: child("create policy p on shop.notes using (true); create policy r on shop.notes as restrictive using (exists (select from shop.orders o where o.tenant_id = org and o.id = order_id))")},
	{name: "a child with an open policy for others", ddl: child(asksParent + "; create policy support on shop.notes to pg_monitor using (true)")},
	{name: "a child that nobody reads", ddl: "create table shop.notes (org text, order_id bigint, foreign key (org, order_id) references shop.orders (tenant_id, id))"},
	{name: "a table that tenants' tables refer to", ddl: "create table shop.kinds (id int primary key); grant select on shop.kinds to $APP; alter table shop.orders add kind int references shop.kinds"},

	{name: "a tenant column of another name", ddl: invoices},
	{name: "a tenant column of another name and a column of another type", ddl: invoices + "create table shop.orgs_of_old (org bigint primary key); grant select on shop.orgs_of_old to $APP"},
	{name: "a list of tenants with a policy", ddl: `create table shop.tenants (id text primary key, name text); grant select on shop.tenants to $APP; alter table shop.tenants enable row level security; alter table shop.tenants force row level security;
		create policy p on shop.tenants using (id = ` + myTenant + `); create table shop.countries (id text primary key); grant select on shop.countries to $APP`},

	{name: "a policy for support and a view that asks as its reader", ddl: support + "create view shop.v with (security_invoker = true) as select * from shop.orders; grant select on shop.v to $APP"},
	{name: "the tenant and the user", ddl: "alter policy tenant_select on shop.orders using (" + mine + " and ref = " + userSetting + ")"},
	{name: "the user beside a restrictive policy for the tenant", ddl: "alter policy tenant_select on shop.orders using (ref = " + userSetting + "); create policy r on shop.orders as restrictive for select using (" + mine + ")"},

	{name: "a tenant whose name is compared whole and in part", ddl: "alter policy tenant_select on shop.orders using (" + mine + " and left(tenant_id, 3) = left(" + myTenant + ", 3) and lower(ref) = 'x')"},
	{name: "a short name that is not cut", ddl: typedTable("text") + "create policy r on shop.typed as restrictive using (length(tenant_id) < 40)"},

	{name: "a trigger of a built name where no table is open", ddl: "create table shop.orders_log (what jsonb); grant insert on shop.orders_log to $APP; create table shop.countries (code text primary key); grant select on shop.countries to $APP;" +
		rowTrigger("", "execute format('insert into shop.%I values ($1)', tg_table_name || '_log') using to_jsonb(new)")},
	{name: "a trigger of a literal statement beside an open table", ddl: openLog + "create table shop.hidden_log (what jsonb); grant insert on shop.hidden_log to $APP;" + rowTrigger("", "execute 'insert into shop.hidden_log values ($1)' using to_jsonb(new)")},
	{name: "a trigger that notifies nothing", ddl: rowTrigger("", "perform pg_notify('orders', '')")},
	{name: "a trigger that notifies keys", ddl: rowTrigger("", "if new.total > 0 and new is distinct from null then perform pg_notify('orders_' || new.tenant_id, tg_op || new.id::text); end if")},
	{name: "a trigger that notifies a statement", ddl: "create function shop.f() returns trigger language plpgsql as $f$ begin notify orders; perform pg_notify('orders', tg_table_name); return null; end $f$; create trigger g after insert on shop.orders execute function shop.f()"},
	{name: "a function that sets the transaction's settings", ddl: sets("perform set_config('app.current_' || n, v, true); execute format('set local %I.%I = %L', 'app', n, v)")},
	{name: "a function that sets other settings", ddl: sets("perform set_config('shop.' || n, v, false); perform set_config('search_path', v, false); execute format('set search_path = %I', v); execute 'set work_mem = ' || v")},

	{name: "statistics of statements that are revoked", ddl: "reset role; create extension pg_stat_statements; revoke all on pg_stat_statements from public; revoke execute on function pg_stat_statements(boolean) from public"},
	{name: "statistics of statements in a schema that the role can't use", ddl: "reset role; create schema stats; create extension pg_stat_statements schema stats"},
	{name: "a parameter for others", ddl: "reset role; grant set on parameter session_preload_libraries to $OWNER"},
	{name: "temporary tables last", ddl: `reset role; alter role $APP set search_path = "$user", shop, pg_temp`},
	{name: "temporary tables first and no right to make them", ddl: "reset role; revoke temporary on database $DB from public; alter role $APP set search_path = pg_temp, shop"},
	{name: "a search_path without temporary tables", ddl: "reset role; alter role $APP set search_path = shop, public"},
	{name: "temporary tables first for another role", ddl: "reset role; alter role $OWNER set search_path = pg_temp, shop"},

	{name: "a table that the role can't name", ddl: "create schema vault; create table vault.secrets (tenant_id text); grant select on vault.secrets to $APP"},
	{name: "a view that the role can't name", ddl: "create schema vault; create view vault.v as select * from shop.orders; grant select on vault.v to $APP"},
	{name: "a partition that the role can't name", ddl: `create schema vault; create table shop.events (tenant_id text not null, at date not null, primary key (tenant_id, at)) partition by range (at);
		create table vault.events_1 partition of shop.events for values from ('2020-01-01') to ('2030-01-01');
		grant select on shop.events, vault.events_1 to $APP;` + rls.Enable(rls.Table{Name: "shop.events", Column: "tenant_id"})},
}
