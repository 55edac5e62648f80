package rls_test

import "github.com/agentagency/onepool/tenant/rls"

// userSetting and myTenant are the identity's user and tenant, as a policy reads them.
const (
	userSetting = "nullif((select current_setting('app.current_user', true)), '')"
	myTenant    = "nullif((select current_setting('app.current_tenant', true)), '')"
)

// child makes a table that refers to shop.orders and has no tenant column. The policies'
// commands are for the table.
func child(policies string) string {
	return `create table shop.notes (org text, order_id bigint, id bigint primary key, note text, foreign key (org, order_id) references shop.orders (tenant_id, id));
		grant select, insert, update, delete on shop.notes to $APP; alter table shop.notes enable row level security; alter table shop.notes force row level security;
		` + policies + ";"
}

const (
	asksParent = "create policy p on shop.notes using (exists (select from shop.orders o where o.tenant_id = org and o.id = order_id))"
	grandchild = "create table shop.files (note_id bigint references shop.notes (id), name text); grant select, insert on shop.files to $APP;"
	forceFiles = "alter table shop.files enable row level security; alter table shop.files force row level security;"
)

// invoices is a table with sound policies and the tenant column org.
var invoices = `create table shop.invoices (org text not null, id bigint not null, paid boolean, primary key (org, id)); grant select, insert on shop.invoices to $APP;
	` + rls.Enable(rls.Table{Name: "shop.invoices", Column: "org"})

const refunds = "create table shop.refunds (org text not null, id bigint not null, primary key (org, id)); grant select, insert on shop.refunds to $APP;"

// support is a role that an open policy is meant for, and that the owner is a member of.
const support = "reset role; create role $APP_support; grant $APP_support to $OWNER; create policy support on shop.orders for select to $APP_support using (true); set role $OWNER;"

// brokenReach reach rows by a table, a user or a role that no tenant column names.
var brokenReach = []brokenCase{
	// Children by foreign key.
	{name: "a child with an open policy", ddl: child("create policy p on shop.notes using (true)"), code: "policy-true", level: "error", object: "shop.notes.p"},
	{name: "a child with a policy that reads no parent", ddl: child("create policy p on shop.notes using (note is not null)"), code: "policy-ignores-tenant", level: "error", object: "shop.notes.p"},
	{name: "a child with a policy that reads a table of no tenant", ddl: "create table shop.countries (code text primary key); grant select on shop.countries to $APP;" +
		child("create policy p on shop.notes using (exists (select from shop.countries c where c.code = note))"), code: "policy-ignores-tenant", level: "error", object: "shop.notes.p"},
	{name: "a child with an open policy beside a sound one", ddl: child(asksParent + "; create policy load on shop.notes for insert with check (true)"), code: "policy-true", level: "error", object: "shop.notes.load"},
	{name: "a child with a check that reads no parent", ddl: child("create policy p on shop.notes using (exists (select from shop.orders o where o.tenant_id = org and o.id = order_id)) with check (true)"), code: "with-check-weak", level: "error", object: "shop.notes.p"},
	{name: "a child of a child with an open policy", ddl: child(asksParent) + grandchild + forceFiles + "create policy p on shop.files using (true)", code: "policy-true", level: "error", object: "shop.files.p"},
	{name: "a child of a child without row-level security", ddl: child(asksParent) + grandchild, code: "table-unscoped", level: "error", object: "shop.files"},
	{name: "a child of an unprotected child", ddl: "create table shop.notes (org text, order_id bigint, id bigint primary key, foreign key (org, order_id) references shop.orders (tenant_id, id)); " + grandchild, code: "table-unscoped", level: "error", object: "shop.files"},

	// Tenant columns of another name.
	{name: "a tenant column that another table's policy names", ddl: invoices + refunds, code: "table-rls-off", level: "error", object: "shop.refunds"},
	{name: "a tenant column that a policy with a helper names", ddl: `create function shop.tenant() returns text language sql stable as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
		create table shop.invoices (org text not null, id bigint not null, primary key (org, id)); grant select on shop.invoices to $APP;
		alter table shop.invoices enable row level security; alter table shop.invoices force row level security;
		create policy p on shop.invoices using (org = (select shop.tenant()));` + refunds, code: "table-rls-off", level: "error", object: "shop.refunds"},
	{name: "a tenant column that a policy names beside others", ddl: invoices + "alter policy tenant_select on shop.invoices using (org = " + myTenant + " and not paid);" + refunds, code: "table-rls-off", level: "error", object: "shop.refunds"},
	{name: "an open policy on a table whose tenant column another table's policy names", ddl: invoices + refunds + "alter table shop.refunds enable row level security; alter table shop.refunds force row level security; create policy p on shop.refunds using (id > 0)",
		code: "policy-ignores-tenant", level: "error", object: "shop.refunds.p"},
	{name: "an open policy on a table whose own policies name its tenant column", ddl: invoices + "alter policy tenant_select on shop.invoices using (org = " + myTenant + " or paid)", code: "policy-open-without-tenant", level: "error", object: "shop.invoices.tenant_select"},

	// Policies for a role that the owner is a member of.
	{name: "a view of an owner whom an open policy is for", ddl: support + "create view shop.v as select * from shop.orders; grant select on shop.v to $APP", code: "view-not-invoker", level: "error", object: "shop.v"},
	{name: "a view of an owner whom an open policy is for by way of another role", ddl: `reset role; create role $APP_support; create role $APP_staff; grant $APP_support to $APP_staff; grant $APP_staff to $OWNER;
		create policy support on shop.orders for select to $APP_support using (paid); set role $OWNER; create view shop.v as select * from shop.orders; grant select on shop.v to $APP`, code: "view-not-invoker", level: "error", object: "shop.v"},
	{name: "a view that is written to as an owner whom an open policy is for", ddl: `reset role; create role $APP_support; grant $APP_support to $OWNER; create policy support on shop.orders for insert to $APP_support with check (true); set role $OWNER;
		create view shop.v as select * from shop.orders; grant insert on shop.v to $APP`, code: "view-not-invoker", level: "error", object: "shop.v"},
	{name: "a definer function of an owner whom an open policy is for", ddl: support + "create function shop.f() returns bigint language sql stable security definer set search_path = pg_catalog, pg_temp as 'select count(*) from shop.orders'", code: "function-definer", level: "warn", object: "shop.f"},
	{name: "a rule of an owner whom an open policy is for", ddl: support + "create table shop.inbox (t text); create rule r as on insert to shop.inbox do also delete from shop.orders; grant insert on shop.inbox to $APP", code: "rule-owner", level: "error", object: "shop.inbox.r"},
	{name: "a trigger of an owner whom an open policy is for", ddl: support + hiddenOf + "create trigger g before insert on shop.lines for each row execute function shop.f()", code: "trigger-definer", level: "warn", object: "shop.lines.g"},
	{name: "a view of an owner beside an open policy for others", ddl: "reset role; create role $APP_support; create policy support on shop.orders for select to $APP_support using (true); set role $OWNER; create view shop.v as select * from shop.orders; grant select on shop.v to $APP",
		code: "view-not-invoker", level: "warn", object: "shop.v"},

	// The user without the tenant.
	{name: "the user and not the tenant", ddl: "alter policy tenant_select on shop.orders using (ref = " + userSetting + ")", code: "policy-other-setting", level: "error", direction: rls.FailOpen},
	{name: "the session and not the tenant", ddl: "alter policy tenant_select on shop.orders using (ref = nullif((select current_setting('app.current_session', true)), ''))", code: "policy-other-setting", level: "error", direction: rls.FailOpen},
	{name: "the user on a table without a tenant", ddl: `create table shop.carts (user_id text primary key); grant select on shop.carts to $APP; alter table shop.carts enable row level security; alter table shop.carts force row level security;
		create policy p on shop.carts using (user_id = ` + userSetting + ")", code: "policy-other-setting", level: "error", object: "shop.carts.p", direction: rls.FailOpen},
	{name: "the user in a helper on a table without a tenant", ddl: `create function shop.who() returns text language plpgsql stable as $$ begin return nullif(current_setting('app.current_user', true), ''); end $$;
		create table shop.carts (user_id text primary key); grant select on shop.carts to $APP; alter table shop.carts enable row level security; alter table shop.carts force row level security;
		create policy p on shop.carts using (user_id = (select shop.who()))`, code: "policy-other-setting", level: "error", object: "shop.carts.p", direction: rls.FailOpen},
	{name: "the tenant or the user", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or ref = " + userSetting + ")", code: "policy-open-to-others", level: "error"},
	{name: "the tenant or the session", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or ref = nullif((select current_setting('app.current_session', true)), ''))", code: "policy-open-to-others", level: "error"},
	{name: "the tenant or one user", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or (select current_setting('app.current_user', true)) = 'admin')", code: "policy-bypass-setting", level: "error", direction: rls.FailOpen},
	{name: "the tenant or some users", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or (select current_setting('app.current_user', true)) in ('admin', 'support'))", code: "policy-bypass-setting", level: "error"},
}

// hiddenOf is a definer function of a trigger that deletes rows of shop.orders.
const hiddenOf = `create function shop.f() returns trigger language plpgsql security definer set search_path = pg_catalog
	as 'begin delete from shop.orders where id = new.order_id; return new; end'; revoke execute on function shop.f() from public; `
