package rls_test

import "github.com/agentagency/onepool/tenant/rls"

// mine is the condition of a sound policy.
const mine = "tenant_id = nullif((select current_setting('app.current_tenant', true)), '')"

// broken are ways to break the sound schema, and the findings that they cause.
var broken = []brokenCase{
	// The role.
	{name: "a superuser", ddl: "reset role; alter role $APP superuser", code: "role-superuser", level: "error"},
	{name: "bypassrls", ddl: "reset role; alter role $APP bypassrls", code: "role-bypassrls", level: "error"},
	{name: "a member of a superuser", ddl: "reset role; create role $APP_boss superuser; grant $APP_boss to $APP", code: "role-can-bypass", level: "error"},
	{name: "a member by way of another role", ddl: `reset role; create role $APP_boss bypassrls; create role $APP_mid noinherit;
		grant $APP_boss to $APP_mid; grant $APP_mid to $APP`, code: "role-can-bypass", level: "error"},
	{name: "a login that no policy binds", ddl: `reset role; create role broken_clerk; grant usage on schema shop to broken_clerk; grant select on shop.orders to broken_clerk;
		grant broken_clerk to $APP; alter role $APP bypassrls`, code: "login-bypasses", level: "warn", opts: []rls.VerifyOption{rls.Role("broken_clerk")}},
	{name: "a member of the owner", ddl: "reset role; grant $OWNER to $APP", code: "role-can-become-owner", level: "error"},
	{name: "replication", ddl: "reset role; alter role $APP replication", code: "role-replication", level: "error"},
	{name: "createrole", ddl: "reset role; alter role $APP createrole", code: "role-createrole", level: "warn"},
	{name: "the server's files", ddl: "reset role; grant pg_read_server_files to $APP", code: "role-server-access", level: "warn"},
	{name: "a function that reads the server's files", ddl: "reset role; grant execute on function pg_read_file(text) to $APP", code: "role-server-access", level: "warn"},
	{name: "connections of the server's own", ddl: "reset role; create extension dblink; grant execute on function dblink_connect_u(text) to $APP", code: "role-server-access", level: "warn"},
	{name: "another server by a mapping", ddl: "reset role; create extension postgres_fdw; create server far foreign data wrapper postgres_fdw; create user mapping for public server far options (user 'postgres'); grant usage on foreign server far to $APP", code: "foreign-server", level: "warn"},
	{name: "everybody's statements", ddl: "reset role; create role $APP_mid; grant pg_monitor to $APP_mid; grant $APP_mid to $APP", code: "role-statistics", level: "note"},
	{name: "create in the database", ddl: "reset role; grant create on database $DB to $APP", code: "schema-create", level: "warn"},
	{name: "all data to read", ddl: "reset role; grant pg_read_all_data to $APP", code: "role-all-data", level: "note"},
	{name: "all data to write", ddl: "reset role; create role $APP_mid; grant pg_write_all_data to $APP_mid; grant $APP_mid to $APP", code: "role-all-data", level: "note"},
	{name: "the table's owner", ddl: "reset role; alter table shop.orders owner to $APP", code: "role-owns-table", level: "warn"},
	{name: "the owner without force", ddl: "reset role; alter table shop.orders owner to $APP; alter table shop.orders no force row level security", code: "table-not-forced", level: "error"},
	{name: "the schema's owner", ddl: "reset role; alter schema shop owner to $APP", code: "role-owns-schema", level: "warn"},
	{name: "the database's owner", ddl: "reset role; alter database $DB owner to $APP", code: "role-owns-database", level: "warn"},
	{name: "create in the schema", ddl: "grant create on schema shop to $APP", code: "schema-create", level: "warn"},

	// The session.
	{name: "a tenant preset for the role", ddl: "reset role; alter role $APP set app.current_tenant = 'acme'", code: "setting-preset", level: "error"},
	{name: "a tenant preset for the database", ddl: "reset role; alter database $DB set app.current_tenant = 'acme'", code: "setting-preset", level: "error"},
	{name: "row_security off", ddl: "reset role; alter role $APP set row_security = off", code: "row-security-off", level: "warn", login: true},

	// The tables.
	{name: "row-level security off", ddl: "create table shop.new (tenant_id text not null primary key); grant select on shop.new to $APP", code: "table-rls-off", level: "error"},
	{name: "off with grants on a column alone", ddl: "create table shop.new (tenant_id text not null primary key, a int); grant select (a) on shop.new to $APP", code: "table-rls-off", level: "error"},
	{name: "off for a role that it may become", ddl: `create table shop.new (tenant_id text not null primary key);
		reset role; create role $APP_mid; alter role $APP noinherit; grant $APP_mid to $APP; grant select on shop.new to $APP_mid`, code: "table-rls-off", level: "error"},
	{name: "policies that are switched off", ddl: "alter table shop.orders disable row level security", code: "policies-off", level: "error"},
	{name: "not forced", ddl: "alter table shop.orders no force row level security", code: "table-not-forced", level: "note"},
	{name: "no policy", ddl: `create table shop.new (tenant_id text not null primary key); grant select on shop.new to $APP;
		alter table shop.new enable row level security; alter table shop.new force row level security`, code: "table-no-policy", level: "warn"},
	{name: "no policy for the role", ddl: `create table shop.new (tenant_id text not null primary key); grant select on shop.new to $APP;
		alter table shop.new enable row level security; alter table shop.new force row level security;
		create policy p on shop.new to pg_monitor using (` + mine + ")", code: "table-no-policy", level: "warn"},
	{name: "no policy for a command", ddl: "drop policy tenant_update on shop.orders", code: "command-no-policy", level: "warn"},
	{name: "a partition that is read directly", ddl: `
		create table shop.events (tenant_id text not null, at date not null, primary key (tenant_id, at)) partition by range (at);
		create table shop.events_1 partition of shop.events for values from ('2020-01-01') to ('2030-01-01');
		grant select on shop.events, shop.events_1 to $APP;` + rls.Enable(rls.Table{Name: "shop.events", Column: "tenant_id"}), code: "partition-rls-off", level: "error"},
	{name: "a foreign table", ddl: `reset role; create foreign data wrapper w; create server far foreign data wrapper w;
		create foreign table shop.far (tenant_id text not null) server far; grant select on shop.far to $APP`, code: "foreign-table", level: "warn"},
	{name: "a table beside", ddl: `create table shop.notes (org text, order_id bigint, note text, foreign key (org, order_id) references shop.orders (tenant_id, id));
		grant select on shop.notes to $APP`, code: "table-unscoped", level: "error"},
	{name: "a rule", ddl: "create rule keep as on delete to shop.orders do instead nothing", code: "table-rule", level: "warn"},
	{name: "a trigger that runs as a superuser", ddl: `reset role; create function shop.log() returns trigger language plpgsql security definer
		set search_path = pg_catalog as 'begin return new; end'; create trigger log before insert on shop.orders for each row execute function shop.log()`, code: "trigger-definer", level: "warn"},
	{name: "a trigger that runs as the unforced owner", ddl: `alter table shop.orders no force row level security;
		create function shop.log() returns trigger language plpgsql security definer
		set search_path = pg_catalog as 'begin return new; end'; create trigger log before insert on shop.orders for each row execute function shop.log()`, code: "trigger-definer", level: "warn"},
	{name: "a trigger that runs as the unforced owner of another table", ddl: `alter table shop.orders no force row level security;
		create function shop.log() returns trigger language plpgsql security definer set search_path = pg_catalog
		as 'begin update shop.orders set total = 0 where id = new.order_id; return new; end';
		create trigger log before insert on shop.lines for each row execute function shop.log()`, code: "trigger-definer", level: "warn"},
	{name: "a publication", ddl: "reset role; create publication everything for table shop.orders", code: "publication", level: "note"},
	{name: "a publication of all tables", ddl: "reset role; create publication everything for all tables", code: "publication", level: "note"},
	{name: "a publication of a schema", ddl: "reset role; create publication everything for tables in schema shop", code: "publication", level: "note"},
	{name: "a declared table that is missing", code: "table-missing", level: "error", opts: []rls.VerifyOption{rls.Tables(rls.Table{Name: "shop.gone"}, rls.Table{Name: "shop.orders"})}},
	{name: "a declared column that is missing", code: "column-missing", level: "error", opts: []rls.VerifyOption{rls.Tables(rls.Table{Name: "shop.orders", Column: "org"})}},
	{name: "nothing to check", ddl: "drop schema shop cascade", code: "tables-none", level: "warn"},

	// The policies.
	{name: "an immutable helper", ddl: immutableHelper, code: "policy-immutable", level: "error"},
	{name: "an immutable helper behind a stable one", ddl: immutableHelper + `;
		create function shop.outer() returns text language plpgsql stable as 'begin return shop.tenant(); end';
		alter policy tenant_select on shop.orders using (tenant_id = (select shop.outer()))`, code: "policy-immutable", level: "error"},
	{name: "an immutable helper with an SQL body", ddl: `
		create function shop.tenant() returns text language sql immutable return nullif(current_setting('app.current_tenant', true), '');
		alter policy tenant_select on shop.orders using (tenant_id = shop.tenant())`, code: "policy-immutable", level: "error"},
	{name: "an immutable helper with the name as its argument", ddl: `
		create function shop.setting(n text) returns text language plpgsql immutable as 'begin return current_setting(n, true); end';
		alter policy tenant_select on shop.orders using (` + mine + ` and tenant_id = shop.setting('app.current_' || 'tenant'))`, code: "policy-immutable", level: "error"},
	{name: "an immutable helper that builds its statement", ddl: `
		create function shop.setting(n text) returns text language plpgsql immutable as $$ declare v text;
			begin execute 'select current_' || 'setting($1, true)' into v using n; return v; end $$;
		alter policy tenant_select on shop.orders using (` + mine + ` and tenant_id = shop.setting('app.current_' || 'tenant'))`, code: "policy-immutable", level: "error"},
	{name: "an immutable helper behind an operator", ddl: `
		create function shop.is_mine(t text, n text) returns boolean language plpgsql immutable as 'begin return t = current_setting(n, true); end';
		create operator shop.=== (leftarg = text, rightarg = text, function = shop.is_mine);
		alter policy tenant_select on shop.orders using (` + mine + ` and tenant_id operator(shop.===) 'app.current_tenant')`, code: "policy-immutable", level: "error"},
	{name: "true for reads", ddl: "create policy support on shop.orders for select using (true)", code: "policy-true", level: "error"},
	{name: "true for writes", ddl: "create policy load on shop.orders for insert with check (true)", code: "policy-true", level: "error"},
	{name: "true behind a fence that is open", ddl: "create policy support on shop.orders for select using (true); create policy fence on shop.orders as restrictive using (true)", code: "policy-true", level: "error"},
	{name: "true behind a fence for updates alone", ddl: "create policy support on shop.orders using (true); create policy fence on shop.orders as restrictive for update using (" + mine + ")", code: "policy-true", level: "error"},
	{name: "true behind a fence for reads alone", ddl: "create policy support on shop.orders using (true); create policy fence on shop.orders as restrictive using (" + mine + ") with check (true)", code: "policy-true", level: "error"},
	{name: "true behind a fence for others", ddl: "create policy support on shop.orders using (true); create policy fence on shop.orders as restrictive to pg_monitor using (" + mine + ")", code: "policy-true", level: "error"},
	{name: "a hole in the fence", ddl: "create policy support on shop.orders for select using (true); create policy fence on shop.orders as restrictive using (" + mine + " or paid)", code: "policy-open-without-tenant", level: "error"},
	{name: "a weak check", ddl: "alter policy tenant_update on shop.orders with check (true)", code: "with-check-weak", level: "error"},
	{name: "a check without the tenant", ddl: "alter policy tenant_update on shop.orders with check (total > 0)", code: "with-check-weak", level: "error"},
	{name: "a policy without the tenant", ddl: "create policy paid on shop.orders for select using (paid)", code: "policy-ignores-tenant", level: "error"},
	{name: "a policy without the column", ddl: "create policy signed_in on shop.orders for select using (current_setting('app.current_tenant', true) <> '')", code: "policy-ignores-tenant", level: "error"},
	{name: "another setting", ddl: "alter policy tenant_select on shop.orders using (tenant_id = nullif((select current_setting('app.tenant_id', true)), ''))", code: "policy-other-setting", level: "error"},
	{name: "the application's name for a tenant", ddl: "alter policy tenant_select on shop.orders using (tenant_id = nullif((select current_setting('application_name')), ''))", code: "policy-other-setting", level: "error", direction: rls.FailOpen},
	{name: "open without a tenant", ddl: "alter policy tenant_select on shop.lines using (" + mine + " or nullif((select current_setting('app.current_tenant', true)), '') is null)", code: "policy-open-without-tenant", level: "error"},
	{name: "coalesce to the row's tenant", ddl: "alter policy tenant_select on shop.lines using (tenant_id = coalesce(nullif((select current_setting('app.current_tenant', true)), ''), tenant_id))", code: "policy-open-without-tenant", level: "error"},
	{name: "open to others by a flag", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or paid)", code: "policy-open-without-tenant", level: "error"},
	{name: "open to every tenant", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or length((select current_setting('app.current_tenant', true))) > 10)", code: "policy-open-to-others", level: "error"},
	{name: "open to those whose name is longer", ddl: "alter policy tenant_select on shop.orders using (tenant_id like nullif((select current_setting('app.current_tenant', true)), '') || '%')", code: "policy-open-to-others", level: "error"},
	{name: "open to those whose name ends with it", ddl: "alter policy tenant_select on shop.orders using (tenant_id like '%' || nullif((select current_setting('app.current_tenant', true)), ''))", code: "policy-open-to-others", level: "error"},
	{name: "open to those whose name is part of it", ddl: "alter policy tenant_select on shop.orders using (strpos(nullif((select current_setting('app.current_tenant', true)), ''), tenant_id) > 0)", code: "policy-open-to-others", level: "error"},
	{name: "open to smaller numbers", ddl: `create table shop.new (tenant_id smallint not null primary key); grant select on shop.new to $APP;
		alter table shop.new enable row level security; alter table shop.new force row level security;
		create policy p on shop.new using (tenant_id <= (select nullif(current_setting('app.current_tenant', true), '')::smallint))`, code: "policy-open-to-others", level: "error"},
	{name: "rows of nobody", ddl: table("tenant_id text unique, id int") + ";alter policy tenant_select on shop.new using (tenant_id is not distinct from nullif((select current_setting('app.current_tenant', true)), ''))", code: "policy-open-without-tenant", level: "error"},
	{name: "two policies for reads", ddl: "create policy published on shop.orders for select using (" + mine + " and paid)", code: "policies-ored", level: "warn"},
	{name: "a policy for all commands beside those of each", ddl: "create policy everything on shop.orders using (" + mine + " and not paid)", code: "policies-ored", level: "warn"},
	{name: "a policy by the name of sharing", ddl: "create policy tenant_shared on shop.orders for select using (" + mine + " and paid)", code: "policies-ored", level: "warn"},
	{name: "two policies for a role that it inherits", ddl: `reset role; create role $APP_mid; grant $APP_mid to $APP;
		create policy published on shop.orders for select to $APP_mid using (` + mine + " and paid)", code: "policies-ored", level: "warn"},
	{name: "the wrong column", ddl: "alter policy tenant_select on shop.orders using (tenant_id is not null and ref = nullif((select current_setting('app.current_tenant', true)), ''))", code: "policy-open-to-others", level: "error"},
	{name: "another column beside it", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or ref = nullif((select current_setting('app.current_tenant', true)), ''))", code: "policy-open-to-others", level: "warn"},
	{name: "a pattern of LIKE", ddl: "alter policy tenant_select on shop.orders using (tenant_id like nullif((select current_setting('app.current_tenant', true)), ''))", code: "policy-open-to-others", level: "error"},
	{name: "a regular expression", ddl: "alter policy tenant_select on shop.orders using (tenant_id ~ ('^' || nullif((select current_setting('app.current_tenant', true)), '') || '$'))", code: "policy-open-to-others", level: "error"},
	{name: "a list of tenants", ddl: "alter policy tenant_select on shop.orders using (tenant_id = any (string_to_array(nullif((select current_setting('app.current_tenant', true)), ''), ',')))", code: "policy-open-to-others", level: "error"},
	{name: "a list with another separator", ddl: "alter policy tenant_select on shop.orders using (nullif((select current_setting('app.current_tenant', true)), '') ~ ('(^|;)' || tenant_id || '(;|$)'))", code: "policy-open-to-others", level: "error"},
	{name: "a name that is cut", ddl: "alter policy tenant_select on shop.orders using (tenant_id = nullif((select current_setting('app.current_tenant', true)), '')::varchar(8))", code: "policy-open-to-others", level: "error"},
	{name: "names that differ in case", ddl: "alter policy tenant_select on shop.orders using (lower(tenant_id) = lower(nullif((select current_setting('app.current_tenant', true)), '')))", code: "policy-open-to-others", level: "error"},
	{name: "a switch that any statement may throw", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or current_setting('app.bypass', true) = 'on')", code: "policy-bypass-setting", level: "warn"},
	{name: "a switch with a word of its own", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or (select current_setting('app.mode', true)) in ('support', 'audit'))", code: "policy-bypass-setting", level: "warn"},
	{name: "another table's tenant", ddl: "alter policy tenant_select on shop.lines using (exists (select from shop.orders o where o.tenant_id = nullif((select current_setting('app.current_tenant', true)), '')))", code: "policy-ignores-tenant", level: "error"},
	{name: "another table's tenant by the name of its own", ddl: "alter policy tenant_select on shop.lines using (exists (select from shop.orders where tenant_id = tenant_id and tenant_id = nullif((select current_setting('app.current_tenant', true)), '')))", code: "policy-ignores-tenant", level: "error"},
	{name: "open to others by a word", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or ref = 'public')", code: "policy-open-to-others", level: "error"},
	{name: "open to others by a number", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or total >= 0)", code: "policy-open-to-others", level: "error"},
	{name: "open to others by a time", ddl: "alter table shop.orders add published timestamptz; alter policy tenant_select on shop.orders using (" + mine + " or published < now())", code: "policy-open-to-others", level: "error"},
	{name: "open to others by whatever is there", ddl: "alter table shop.orders add parent uuid; alter policy tenant_select on shop.orders using (" + mine + " or parent is not null)", code: "policy-open-to-others", level: "error"},
	{name: "open to others by a word of a list", ddl: "create type shop.state as enum ('draft', 'public'); alter table shop.orders add state shop.state; alter policy tenant_select on shop.orders using (" + mine + " or state in ('public'))", code: "policy-open-to-others", level: "error"},
	{name: "a tenant of all", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or tenant_id = 'public')", code: "policy-open-without-tenant", level: "error"},
	{name: "a default tenant of a policy", ddl: "alter policy tenant_select on shop.orders using (tenant_id = coalesce(nullif((select current_setting('app.current_tenant', true)), ''), 'system'))", code: "policy-open-without-tenant", level: "error"},
	{name: "a default tenant of a helper", ddl: `create function shop.tenant() returns text language plpgsql stable as $$ begin return coalesce(nullif(current_setting('app.current_tenant', true), ''), 'system'); end $$;
		alter policy tenant_select on shop.orders using (tenant_id = (select shop.tenant()))`, code: "policy-open-without-tenant", level: "error"},
	{name: "a default tenant that is a number", ddl: `create table shop.n (tenant_id bigint not null primary key); grant select on shop.n to $APP; alter table shop.n enable row level security; alter table shop.n force row level security;
		create policy p on shop.n using (tenant_id = (select coalesce(nullif(current_setting('app.current_tenant', true), ''), '12')::bigint))`, code: "policy-open-without-tenant", level: "error"},
	{name: "numbers that are cut", ddl: `create table shop.n (tenant_id bigint not null primary key); grant select on shop.n to $APP; alter table shop.n enable row level security; alter table shop.n force row level security;
		create policy p on shop.n using (tenant_id % 1000 = (select nullif(current_setting('app.current_tenant', true), '')::bigint) % 1000)`, code: "policy-open-to-others", level: "error"},
	{name: "a tenant that sees all", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or nullif((select current_setting('app.current_tenant', true)), '') = 'admin')", code: "policy-open-to-others", level: "warn"},
	{name: "a tenant that sees all by a helper", ddl: `create function shop.may(t text) returns boolean language plpgsql stable as $$ begin return t = nullif(current_setting('app.current_tenant', true), '') or nullif(current_setting('app.current_tenant', true), '') = 'admin'; end $$;
		alter policy tenant_select on shop.orders using (shop.may(tenant_id))`, code: "policy-open-to-others", level: "warn"},
	{name: "a switch in a helper", ddl: `create function shop.may(t text) returns boolean language plpgsql stable as $$ begin return t = nullif(current_setting('app.current_tenant', true), '') or current_setting('app.bypass', true) = 'please'; end $$;
		alter policy tenant_select on shop.orders using (shop.may(tenant_id))`, code: "policy-bypass-setting", level: "warn"},
	{name: "open in a trigger", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or pg_trigger_depth() > 0)", code: "policy-circumstance", level: "warn"},
	{name: "open to an address", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or inet_client_addr() = '10.0.0.1')", code: "policy-circumstance", level: "warn"},
	{name: "open to members of a role", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or pg_has_role('pg_monitor', 'member'))", code: "policy-circumstance", level: "warn"},
	{name: "no nullif", ddl: "alter policy tenant_select on shop.orders using (tenant_id = (select current_setting('app.current_tenant', true)))", code: "policy-empty-setting", level: "warn"},
	{name: "no nullif in a helper", ddl: `create function shop.tenant() returns text language sql stable as $$ select current_setting('app.current_tenant', true) $$;
		alter policy tenant_select on shop.orders using (tenant_id = (select shop.tenant()))`, code: "policy-empty-setting", level: "warn"},
	{name: "no missing_ok", ddl: "alter policy tenant_select on shop.orders using (tenant_id = nullif((select current_setting('app.current_tenant')), ''))", code: "policy-missing-ok", level: "warn"},
	{name: "the setting for every row", ddl: "alter policy tenant_select on shop.orders using (tenant_id = nullif(current_setting('app.current_tenant', true), ''))", code: "policy-per-row", level: "warn"},
	{name: "a helper for every row", ddl: `create function shop.tenant() returns text language sql stable as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
		alter policy tenant_select on shop.orders using (tenant_id = shop.tenant())`, code: "policy-per-row", level: "warn"},
	{name: "a volatile helper", ddl: `create function shop.tenant() returns text language sql as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
		alter policy tenant_select on shop.orders using (tenant_id = shop.tenant())`, code: "policy-volatile", level: "warn"},
	{name: "a cast of the column", ddl: `create table shop.typed (tenant_id uuid not null primary key); grant select on shop.typed to $APP;
		alter table shop.typed enable row level security; alter table shop.typed force row level security;
		create policy p on shop.typed using (tenant_id::text = nullif((select current_setting('app.current_tenant', true)), ''))`, code: "policy-cast-column", level: "warn"},
	{name: "a uuid cast without nullif", ddl: `create table shop.typed (tenant_id uuid not null primary key); grant select on shop.typed to $APP;
		insert into shop.typed values (gen_random_uuid());
		alter table shop.typed enable row level security; alter table shop.typed force row level security;
		create policy p on shop.typed using (tenant_id = (select current_setting('app.current_tenant', true))::uuid)`, code: "probe-failed", level: "note"},
	{name: "the role's name", ddl: "alter policy tenant_select on shop.orders using (" + mine + " or tenant_id = current_user)", code: "policy-role-name", level: "warn"},

	// Ways around.
	{name: "a view of a superuser's", ddl: "reset role; create view shop.v as select * from shop.orders; grant select on shop.v to $APP", code: "view-not-invoker", level: "error"},
	{name: "a view of the unforced owner's", ddl: "alter table shop.orders no force row level security; create view shop.v as select * from shop.orders; grant select on shop.v to $APP", code: "view-not-invoker", level: "error"},
	{name: "a view of the forced owner's", ddl: "create view shop.v as select * from shop.orders; grant select on shop.v to $APP", code: "view-not-invoker", level: "warn"},
	{name: "a view by way of a view", ddl: "reset role; create view shop.inner as select * from shop.orders; create view shop.outer as select * from shop.inner; grant select on shop.outer to $APP", code: "view-not-invoker", level: "error"},
	{name: "a materialized view", ddl: "reset role; create materialized view shop.m as select * from shop.orders; grant select on shop.m to $APP", code: "matview", level: "error"},
	{name: "a hidden definer function in an aggregate", ddl: `reset role; create function shop.step(s text, o text) returns text language sql security definer set search_path = pg_catalog, pg_temp
		as 'select s || (select string_agg(tenant_id, o) from shop.orders)'; revoke execute on function shop.step(text, text) from public;
		create aggregate shop.leak(text) (sfunc = shop.step, stype = text, initcond = '')`, code: "function-definer", level: "warn"},
	{name: "a materialized view of a function", ddl: secret + "create function shop.f() returns setof text language sql stable as 'select tenant_id from shop.secret'; create materialized view shop.m as select * from shop.f() t; grant select on shop.m to $APP", code: "matview", level: "error"},
	{name: "a definer function of a superuser's", ddl: `reset role; create function shop.all_orders() returns bigint language sql stable security definer set search_path = pg_catalog
		as 'select count(*) from shop.orders'`, code: "function-definer", level: "warn"},
	{name: "a view of a table without a grant", ddl: secret + "create view shop.v as select * from shop.secret; grant select on shop.v to $APP", code: "view-not-invoker", level: "error"},
	{name: "a view by way of a view of a table without a grant", ddl: secret + `create view shop.inner as select * from shop.secret;
		create view shop.outer as select * from shop.inner; grant select on shop.outer to $APP`, code: "view-not-invoker", level: "error"},
	{name: "a materialized view of a table without a grant", ddl: secret + "create materialized view shop.m as select * from shop.secret; grant select on shop.m to $APP", code: "matview", level: "error"},
	{name: "a definer function over a table without a grant", ddl: secret + `create function shop.all_of() returns bigint language plpgsql stable security definer set search_path = pg_catalog
		as 'begin return (select count(*) from shop.secret); end'`, code: "function-definer", level: "warn"},
	{name: "a definer function without a search_path", ddl: `create function shop.all_orders() returns bigint language sql stable security definer
		as 'select count(*) from shop.orders'`, code: "function-search-path", level: "warn"},
	{name: "a definer function that finds its table by its search_path", ddl: secret + `create function shop.all_of() returns bigint language plpgsql stable security definer set search_path = pg_catalog, "shop"
		as 'begin return (select count(*) from secret); end'`, code: "function-definer", level: "warn"},
	{name: "a definer function with a body of the standard", ddl: secret + `create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog
		begin atomic select count(*) from shop.secret; end`, code: "function-definer", level: "warn"},
	{name: "a definer function whose statement is a text", ddl: secret + `create function shop.all_of() returns bigint language plpgsql stable security definer set search_path = pg_catalog
		as $$ declare n bigint; begin execute 'select count(*) from shop.secret' into n; return n; end $$`, code: "function-definer", level: "warn"},
	{name: "a definer function that builds its statement", ddl: `reset role; create function shop.run(what text) returns void language plpgsql security definer set search_path = pg_catalog
		as 'begin execute what; end'`, code: "function-definer", level: "note"},
	{name: "a definer function by way of another function", ddl: secret + `create function shop.inner() returns bigint language sql stable as 'select count(*) from shop.secret';
		create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog as 'select shop.inner()'`, code: "function-definer", level: "warn"},
	{name: "a definer function by way of a hidden definer function", ddl: secret + `create function shop.inner() returns bigint language sql stable security definer set search_path = pg_catalog as 'select count(*) from shop.secret';
		revoke execute on function shop.inner() from public; grant execute on function shop.inner() to $OWNER; set role $OWNER;
		create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog as 'select shop.inner()'`, code: "function-definer", level: "warn"},
	{name: "a definer function by way of a view", ddl: secret + `create view shop.v with (security_invoker = true) as select * from shop.secret;
		create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog as 'select count(*) from shop.v'`, code: "function-definer", level: "warn"},
	{name: "a definer function by way of a superuser's view", ddl: secret + `create view shop.v as select * from shop.secret; grant select on shop.v to $OWNER; set role $OWNER;
		create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog as 'select count(*) from shop.v'`, code: "function-definer", level: "warn"},
	{name: "a definer function by way of a materialized view", ddl: secret + `create materialized view shop.m as select * from shop.secret; grant select on shop.m to $OWNER; set role $OWNER;
		create function shop.all_of() returns bigint language sql stable security definer set search_path = pg_catalog as 'select count(*) from shop.m'`, code: "function-definer", level: "warn"},
	{name: "an immutable function in no policy", ddl: `create function shop.tenant() returns text language sql immutable
		as $$ select nullif(current_setting('app.current_tenant', true), '') $$`, code: "function-immutable", level: "warn"},
	{name: "an immutable function in another role's policy", ddl: `create function shop.tenant() returns text language sql immutable
		as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
		create policy theirs on shop.orders for select to pg_monitor using (tenant_id = shop.tenant())`, code: "function-immutable", level: "warn"},
	{name: "a rule on a view", ddl: "reset role; create view shop.v with (security_invoker = true) as select * from shop.orders; create rule r as on insert to shop.v do instead insert into shop.orders (tenant_id, id) values (new.tenant_id, new.id); grant insert on shop.v to $APP", code: "rule-owner", level: "error"},
	{name: "a rule on another table", ddl: "reset role; create table shop.inbox (t text, n bigint); create rule r as on insert to shop.inbox do also insert into shop.orders (tenant_id, id) values (new.t, new.n); grant insert on shop.inbox to $APP", code: "rule-owner", level: "error"},
	{name: "a rule to a table without a grant", ddl: secret + "create table shop.inbox (t text); create rule r as on insert to shop.inbox do also delete from shop.secret; grant insert on shop.inbox to $APP", code: "rule-owner", level: "error"},
	{name: "a trigger on a view", ddl: "reset role; create view shop.v with (security_invoker = true) as select * from shop.orders; " + hidden + "create trigger g instead of insert on shop.v for each row execute function shop.f(); grant insert on shop.v to $APP", code: "trigger-definer", level: "warn"},
	{name: "a trigger on another table", ddl: "reset role; create table shop.inbox (t text, n bigint); " + hidden + "create trigger g before insert on shop.inbox for each row execute function shop.f(); grant insert on shop.inbox to $APP", code: "trigger-definer", level: "warn"},
	{name: "a trigger that copies rows", ddl: `create table shop.log (what jsonb); grant select, insert on shop.log to $APP;
		create function shop.f() returns trigger language plpgsql as 'begin insert into shop.log values (to_jsonb(new)); return new; end';
		create trigger g before insert on shop.orders for each row execute function shop.f()`, code: "trigger-copies", level: "warn"},
	{name: "a policy's function that is the role's", ddl: "create function shop.tenant() returns text language sql stable as $$ select nullif(current_setting('app.current_tenant', true), '') $$; alter policy tenant_select on shop.orders using (tenant_id = (select shop.tenant())); reset role; alter function shop.tenant() owner to $APP", code: "function-owned", level: "warn"},
	{name: "a trigger's function that is the role's", ddl: "create function shop.f() returns trigger language plpgsql as 'begin return new; end'; create trigger g before insert on shop.orders for each row execute function shop.f(); reset role; alter function shop.f() owner to $APP", code: "function-owned", level: "warn"},
	{name: "a policy that trusts a table open to all", ddl: "create table shop.members (t text, who text); grant select, insert on shop.members to $APP; alter policy tenant_select on shop.orders using (tenant_id in (select t from shop.members where who = (select nullif(current_setting('app.current_tenant', true), ''))))", code: "policy-trusts-table", level: "warn"},
	{name: "sharing by a table open to all", ddl: "create table shop.shares (owner_tenant_id text, reader_tenant_id text); grant select, insert, update, delete on shop.shares to $APP; " + rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id", Sharing: &rls.Sharing{Name: "shop.shares"}}) +
		"alter table shop.shares disable row level security; drop policy tenant_select on shop.shares; drop policy tenant_insert on shop.shares; drop policy tenant_update on shop.shares; drop policy tenant_delete on shop.shares", code: "policy-trusts-table", level: "warn"},
	{name: "a child of a declared table", ddl: "create table shop.old () inherits (shop.orders); grant select on shop.old to $APP", code: "table-rls-off", level: "error", opts: []rls.VerifyOption{rls.Tables(rls.Table{Name: "shop.orders"})}},
	{name: "a definer function by way of a schema that the role may create in", ddl: "reset role; create schema loose; grant usage, create on schema loose to $APP; create function shop.f() returns bigint language sql security definer set search_path = shop, loose, pg_temp as 'select count(*) from shop.lines'", code: "function-search-path", level: "warn"},
	{name: "a definer function by way of a schema in capitals that the role may create in", ddl: `reset role; create schema "Loose"; grant usage, create on schema "Loose" to $APP; create schema "Kept"; grant usage on schema "Kept" to $APP;
		create table "Kept".n (); create function shop.f() returns bigint language sql security definer set search_path = "Kept", "Loose", pg_temp as 'select count(*) from n'`, code: "function-search-path", level: "warn"},
	{name: "a definer function that finds temporary tables first", ddl: "create function shop.f() returns bigint language sql security definer set search_path = shop as 'select count(*) from orders'", code: "function-search-path", level: "warn"},
	{name: "a superuser's function without a search_path that names no tenants' table", ddl: "reset role; create function shop.f() returns bigint language sql security definer as 'select length(version())'", code: "function-search-path", level: "warn"},
	{name: "a function that brings its tenant", ddl: "reset role; create function shop.f() returns bigint language sql stable set app.current_tenant = 'acme' as 'select count(*) from shop.orders'", code: "function-sets-tenant", level: "warn"},
	{name: "a function that sets the session's tenant", ddl: "create function shop.f(t text) returns void language plpgsql as $$ begin perform set_config('app.current_tenant', t, false); end $$", code: "function-sets-tenant", level: "warn"},
	{name: "truncate", ddl: "grant truncate on shop.orders to $APP", code: "privilege-truncate", level: "error"},
	{name: "references", ddl: "grant references on shop.orders to $APP", code: "privilege-references", level: "warn"},
	{name: "records of migrations", ddl: "create schema onepool; create table onepool.shop_versions (version_id bigint); grant usage on schema onepool to $APP; grant insert on onepool.shop_versions to $APP", code: "migrations-writable", level: "warn"},
	{name: "trigger", ddl: "grant trigger on shop.orders to $APP", code: "privilege-trigger", level: "warn"},
	{name: "a grant to public", ddl: "grant select on shop.orders to public", code: "grant-public", level: "warn"},
	{name: "a sequence that can be read", ddl: "grant select on sequence shop.lines_line_seq to $APP", code: "sequence-read", level: "note"},
	{name: "a sequence of a default that can be read", ddl: "create sequence shop.ids; alter table shop.orders alter id set default nextval('shop.ids'); grant usage, select on sequence shop.ids to $APP", code: "sequence-read", level: "note"},
	{name: "a sequence of a default that can be set back", ddl: "create sequence shop.ids; alter table shop.orders alter id set default nextval('shop.ids'); grant update on sequence shop.ids to $APP", code: "sequence-update", level: "warn"},
	{name: "a grant of a column to public", ddl: "grant select (total) on shop.orders to public", code: "grant-public", level: "warn"},
	{name: "a grant of tomorrow's tables to public", ddl: "alter default privileges in schema shop grant select on tables to public", code: "grant-public", level: "warn"},
	{name: "a grant of all of tomorrow's tables to public", ddl: "alter default privileges grant select, delete on tables to public", code: "grant-public", level: "warn"},
	{name: "large objects", ddl: "reset role; do $$ declare o oid := lo_from_bytea(0, 'x'); begin execute format('grant select on large object %s to $APP', o); end $$ ", code: "large-objects", level: "warn"},
	{name: "a sequence that can be set back", ddl: "grant update on sequence shop.lines_line_seq to $APP", code: "sequence-update", level: "warn"},

	// The shape.
	{name: "a nullable column", ddl: table("tenant_id text unique, id int"), code: "column-nullable", level: "warn"},
	{name: "an unusual type", ddl: table("tenant_id name primary key, id int"), code: "column-type", level: "warn"},
	{name: "a default tenant", ddl: table("tenant_id text primary key default 'main', id int"), code: "column-default", level: "warn"},
	{name: "a default tenant where none is set", ddl: "alter table shop.orders alter tenant_id set default coalesce(nullif(current_setting('app.current_tenant', true), ''), 'main')", code: "column-default", level: "warn"},
	{name: "no index", ddl: table("tenant_id text not null, id int"), code: "index-missing", level: "warn"},
	{name: "an index led by another column", ddl: table("tenant_id text not null, id int, primary key (id, tenant_id)"), code: "index-missing", level: "warn"},
	{name: "a partial index", ddl: table("tenant_id text not null, id int") + "; create index on shop.new (tenant_id) where id > 0", code: "index-missing", level: "warn"},
	{name: "an index on numeric", ddl: "create index on shop.orders (tenant_id, total)", code: "index-not-leakproof", level: "note"},
	{name: "an index on an expression", ddl: "create index on shop.orders (tenant_id, lower(ref))", code: "index-not-leakproof", level: "note"},
	{name: "an index on an expression with an operator", ddl: "create index on shop.orders (tenant_id, (ref || 'x'))", code: "index-not-leakproof", level: "note"},
	{name: "an index on an expression that leads", ddl: "create index on shop.orders (lower(ref))", code: "index-not-leakproof", level: "note"},
	{name: "a GIN index of words", ddl: "alter table shop.orders add words tsvector; create index on shop.orders using gin (words)", code: "index-not-leakproof", level: "note"},
	{name: "a GIN index of JSON", ddl: "alter table shop.orders add facts jsonb; create index on shop.orders using gin (facts jsonb_path_ops)", code: "index-not-leakproof", level: "note"},
	{name: "a GiST index of ranges", ddl: "alter table shop.orders add during tstzrange; create index on shop.orders using gist (during)", code: "index-not-leakproof", level: "note"},
	{name: "a GIN index of an array", ddl: "alter table shop.orders add tags text[]; create index on shop.orders using gin (tags)", code: "index-not-leakproof", level: "note"},
	{name: "an index of trigrams", ddl: "reset role; create extension pg_trgm; create index on shop.orders using gin (ref gin_trgm_ops)", code: "index-not-leakproof", level: "note"},
	{name: "a function that is called leakproof", ddl: `reset role; create function shop.seen(t text) returns boolean language plpgsql leakproof
		as $$ begin raise notice '%', t; return true; end $$`, code: "function-leakproof", level: "warn"},
	{name: "a unique key of all tenants", ddl: "create unique index on shop.orders (ref)", code: "unique-without-tenant", level: "warn"},
	{name: "a primary key of all tenants", ddl: table("tenant_id text not null, id int primary key") + "; create index on shop.new (tenant_id)", code: "unique-without-tenant", level: "note"},
	{name: "a foreign key without the tenant", ddl: "create unique index on shop.orders (id, ref); create table shop.new (tenant_id text primary key, order_id bigint, ref text, foreign key (order_id, ref) references shop.orders (id, ref)); grant select on shop.new to $APP;" + rls.Enable(rls.Table{Name: "shop.new", Column: "tenant_id"}), code: "foreign-key-without-tenant", level: "warn"},
	{name: "a foreign key from the tenant to another column", ddl: "create unique index on shop.orders (ref, id); " + table("tenant_id text not null, id bigint, ref text, primary key (tenant_id, id), foreign key (tenant_id, id) references shop.orders (ref, id)"), code: "foreign-key-without-tenant", level: "warn"},
	{name: "a foreign key from another column to the tenant", ddl: table("tenant_id text not null, id bigint, ref text, primary key (tenant_id, id), foreign key (ref, id) references shop.orders (tenant_id, id)"), code: "foreign-key-without-tenant", level: "warn"},
	{name: "a foreign key that crosses the columns", ddl: "create unique index on shop.orders (ref, tenant_id); " + table("tenant_id text not null, ref text, primary key (tenant_id, ref), foreign key (tenant_id, ref) references shop.orders (ref, tenant_id)"), code: "foreign-key-without-tenant", level: "warn"},
	{name: "an exclusion constraint of all tenants", ddl: "alter table shop.orders add during tstzrange, add constraint booked exclude using gist (during with &&)", code: "exclusion-without-tenant", level: "warn"},
	{name: "an exclusion constraint between tenants", ddl: "alter table shop.orders add constraint booked exclude using btree (ref with =)", code: "exclusion-without-tenant", level: "warn"},
	{name: "an exclusion constraint that wants other tenants", ddl: "reset role; create extension btree_gist; alter table shop.orders add constraint booked exclude using gist (tenant_id with <>, ref with =)", code: "exclusion-without-tenant", level: "warn"},
	{name: "a cascade from a table open to all", ddl: "create table shop.kinds (id int primary key); grant select, delete on shop.kinds to $APP; alter table shop.orders add kind int references shop.kinds on delete cascade", code: "foreign-key-cascades", level: "error"},
	{name: "keys that are changed from a table open to all", ddl: "create table shop.kinds (id int primary key); grant select, update on shop.kinds to $APP; alter table shop.orders add kind int references shop.kinds on update cascade", code: "foreign-key-cascades", level: "error"},
	{name: "a null from a table open to all", ddl: "create table shop.kinds (id int primary key); grant select, delete on shop.kinds to $APP; alter table shop.orders add kind int references shop.kinds on delete set null", code: "foreign-key-cascades", level: "error"},
	{name: "a collation that takes tenants for one", ddl: "create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); " + table("tenant_id text collate ci not null primary key, id int"), code: "column-collation", level: "error"},
	{name: "a list of tenants that all may read", ddl: "create table shop.tenants (id text primary key, name text); grant select on shop.tenants to $APP; alter table shop.orders add foreign key (tenant_id) references shop.tenants (id) not valid", code: "tenants-listed", level: "note"},
	{name: "an allowance that matches nothing", code: "allow-unused", level: "note", opts: []rls.VerifyOption{rls.Allow("matview", "shop.m", "it was dropped")}},
}

// secret is a table that the role has no grant on; what follows is a superuser's.
const secret = "create table shop.secret (tenant_id text not null primary key); insert into shop.secret values ('acme'), ('globex'); reset role; "

// hidden is a trigger's function that works around the policies and that nobody
// may call.
const hidden = `create function shop.f() returns trigger language plpgsql security definer set search_path = pg_catalog
	as 'begin insert into shop.orders (tenant_id, id) values (new.tenant_id, new.id); return new; end'; revoke execute on function shop.f() from public; `

const immutableHelper = `create function shop.tenant() returns text language sql immutable
	as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
	alter policy tenant_select on shop.orders using (tenant_id = shop.tenant())`

// table is a table of the columns with sound policies.
func table(columns string) string {
	return "create table shop.new (" + columns + "); grant select on shop.new to $APP;" +
		rls.Enable(rls.Table{Name: "shop.new", Column: "tenant_id"})
}
