package rls_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
)

// typedTable has a tenant column of the type, and sound policies.
func typedTable(kind string) string {
	return `create table shop.typed (tenant_id ` + kind + ` not null, id bigint not null, primary key (tenant_id, id));
		grant select, insert, update, delete on shop.typed to $APP;
		` + rls.Enable(rls.Table{Name: "shop.typed", Column: "tenant_id", Type: kind})
}

// soundCase changes the sound schema and causes no finding.
type soundCase struct {
	name string
	ddl  string
	opts []rls.VerifyOption
}

var sound = []soundCase{
	{name: "text"},
	{name: "uuid", ddl: typedTable("uuid")},
	{name: "bigint", ddl: typedTable("bigint")},
	{name: "varchar", ddl: `create table shop.typed (tenant_id varchar(40) not null, id bigint not null, primary key (tenant_id, id));
		grant select on shop.typed to $APP;` + rls.Enable(rls.Table{Name: "shop.typed", Column: "tenant_id"})},
	{name: "enabled twice", ddl: rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id"})},
	{name: "a partitioned table whose partitions nobody reads directly", ddl: `
		create table shop.events (tenant_id text not null, at date not null, primary key (tenant_id, at)) partition by range (at);
		create table shop.events_1 partition of shop.events for values from ('2020-01-01') to ('2030-01-01');
		insert into shop.events values ('acme', '2025-01-01');
		grant select, insert on shop.events to $APP;` + rls.Enable(rls.Table{Name: "shop.events", Column: "tenant_id"})},
	{name: "a partitioned table with policies on its partitions", ddl: `
		create table shop.events (tenant_id text not null, at date not null, primary key (tenant_id, at)) partition by range (at);
		create table shop.events_1 partition of shop.events for values from ('2020-01-01') to ('2030-01-01');
		grant select, insert on shop.events, shop.events_1 to $APP;` +
		rls.Enable(rls.Table{Name: "shop.events", Column: "tenant_id"}, rls.Table{Name: "shop.events_1", Column: "tenant_id"})},
	{name: "a view that asks as its reader", ddl: `
		create view shop.paid with (security_invoker = true) as select * from shop.orders where paid;
		grant select on shop.paid to $APP`},
	{name: "a view that the role can't read", ddl: "create view shop.paid as select * from shop.orders"},
	{name: "a table of no tenant", ddl: "create table shop.countries (code text primary key); grant select on shop.countries to $APP"},
	{name: "a table that the role can't reach", ddl: "create table shop.audit (tenant_id text, what text)"},
	{name: "views and functions over a table that the role can't reach", ddl: `
		create table shop.audit (tenant_id text, what text); create view shop.all_audit as select * from shop.audit;
		create view shop.asked with (security_invoker = true) as select * from shop.audit; grant select on shop.asked to $APP;
		create function shop.note() returns trigger language plpgsql security definer set search_path = pg_catalog
			as 'begin insert into shop.audit values (new.tenant_id, tg_op); return new; end';
		create function shop.purge() returns void language sql security definer set search_path = pg_catalog as 'delete from shop.audit';
		revoke execute on function shop.purge() from public`},
	{name: "a domain over text", ddl: `create domain shop.org as text; create table shop.typed (tenant_id shop.org not null, id bigint not null, primary key (tenant_id, id));
		grant select, insert, update, delete on shop.typed to $APP;` + rls.Enable(rls.Table{Name: "shop.typed", Column: "tenant_id"})},
	{name: "an immutable function that reads nothing", ddl: `
		create function shop.lowered(t text) returns text language plpgsql immutable as 'begin return lower(t); end';
		create policy lower_case on shop.orders as restrictive for insert with check (shop.lowered(tenant_id) = tenant_id)`},
	{name: "a stable helper", ddl: `
		create function shop.tenant() returns text language sql stable as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
		alter policy tenant_select on shop.orders using (tenant_id = (select shop.tenant()));
		alter table shop.orders alter tenant_id set default shop.tenant()`},
	{name: "one policy for all commands", ddl: `
		drop policy tenant_select on shop.lines; drop policy tenant_insert on shop.lines;
		drop policy tenant_update on shop.lines; drop policy tenant_delete on shop.lines;
		create policy isolation on shop.lines using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))`},
	{name: "a restrictive policy beside them", ddl: "create policy unpaid on shop.orders as restrictive for delete using (not paid)"},
	{name: "an open policy behind a fence", ddl: `
		create policy everything on shop.orders using (true);
		create policy fence on shop.orders as restrictive using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))`},
	{name: "two policies behind a fence", ddl: `
		create policy published on shop.orders for select using (paid and tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
		create policy fence on shop.orders as restrictive for select using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))`},
	{name: "the same policy twice", ddl: "create policy again on shop.orders for select using (" + mine + ")"},
	{name: "a column that is named like a keyword", ddl: `alter table shop.orders add "user" text;
		create policy mine on shop.orders as restrictive using ("user" is null or "user" = nullif((select current_setting('app.current_user', true)), ''))`},
	{name: "a table that asks the one it refers to", ddl: `
		create table shop.notes (org text, order_id bigint, note text, foreign key (org, order_id) references shop.orders (tenant_id, id));
		grant select on shop.notes to $APP; alter table shop.notes enable row level security; alter table shop.notes force row level security;
		create policy p on shop.notes using (exists (select from shop.orders o where o.tenant_id = org and o.id = order_id))`},
	{name: "a column in another language", ddl: `
		create table shop.notes ("Ämter" text not null, id bigint not null, primary key ("Ämter", id));
		grant select on shop.notes to $APP;` + rls.Enable(rls.Table{Name: "shop.notes", Column: "Ämter"}),
		opts: []rls.VerifyOption{rls.Column("Ämter"), rls.Tables(rls.Table{Name: "shop.notes"})}},
	{name: "a policy for another role", ddl: "create policy everything on shop.orders for select to pg_monitor using (true)"},
	{name: "sharing", ddl: `
		create schema tenancy; grant usage on schema tenancy to $APP;
		create table tenancy.shares (owner_tenant_id text not null, reader_tenant_id text not null, module text not null,
			primary key (owner_tenant_id, reader_tenant_id, module));
		create index on tenancy.shares (reader_tenant_id);
		grant select, insert, update, delete on tenancy.shares to $APP;` +
		rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id", Sharing: &rls.Sharing{Name: "tenancy.shares", Module: "shop"}})},
	{name: "sharing of a varchar", ddl: `
		create table shop.typed ("Org" varchar(40) not null, id bigint not null, primary key ("Org", id));
		create table shop.shares (owner_tenant_id varchar(40) not null, reader_tenant_id varchar(40) not null, primary key (owner_tenant_id, reader_tenant_id));
		grant select, insert, update, delete on shop.typed, shop.shares to $APP;` +
		rls.Enable(rls.Table{Name: "shop.typed", Column: "Org", Sharing: &rls.Sharing{Name: "shop.shares"}}),
		opts: []rls.VerifyOption{rls.Column("Org")}},
	{name: "a foreign key whose columns stand in another order", ddl: `
		create table shop.typed (tenant_id text not null, order_id bigint not null, primary key (tenant_id, order_id),
			foreign key (order_id, tenant_id) references shop.orders (id, tenant_id));
		grant select on shop.typed to $APP;` + rls.Enable(rls.Table{Name: "shop.typed", Column: "tenant_id"})},
	{name: "indexes that are searched under the policies", ddl: `
		alter table shop.orders add at timestamptz, add ref_lower text generated always as (lower(ref)) stored;
		create index on shop.orders (tenant_id, ref_lower, at); create index on shop.orders using hash (ref); create index on shop.orders using brin (at);
		create index on shop.orders (tenant_id, id) where lower(ref) = 'x'; create index on shop.orders (tenant_id) include (total)`},
	{name: "an index on an expression of a table without a tenant", ddl: "create table shop.countries (code text primary key); create index on shop.countries (lower(code)); grant select on shop.countries to $APP"},
	{name: "an exclusion constraint of each tenant", ddl: `reset role; create extension btree_gist;
		alter table shop.orders add during tstzrange, add constraint booked exclude using gist (tenant_id with =, during with &&)`},
	{name: "a definer trigger of the forced owner", ddl: `
		create function shop.log() returns trigger language plpgsql security definer set search_path = pg_catalog as 'begin return new; end';
		create trigger log before insert on shop.orders for each row execute function shop.log()`},
	{name: "a sequence that can be used", ddl: "create sequence shop.ids; alter table shop.orders alter id set default nextval('shop.ids'); grant usage on sequence shop.ids to $APP"},
	{name: "definer functions over a table of the same name in another schema", ddl: `
		create schema archive; create table archive.orders (id bigint, lines int);
		reset role;
		create function archive.named() returns bigint language sql stable security definer set search_path = pg_catalog as 'select count(orders.lines) from archive.orders';
		create function archive.quoted() returns bigint language plpgsql stable security definer set search_path = pg_catalog as 'begin return (select count(*) from "archive" . "orders"); end';
		create function archive.found() returns bigint language sql stable security definer set search_path = archive, shop, pg_temp as 'select count(o.lines) from orders o';
		create function archive.standard() returns bigint language sql stable security definer set search_path = pg_catalog begin atomic select count(orders.id) from archive.orders; end`},
	{name: "a definer function that runs a given text as a role that policies bind", ddl: `create function shop.run(what text) returns void language plpgsql security definer
		set search_path = pg_catalog as 'begin execute what; end'; revoke execute on function shop.run(text) from public`},
	{name: "a policy for the tenant's user", ddl: `alter table shop.orders add clerk text;
		alter policy tenant_select on shop.orders using (` + mine + ` and (clerk is null or clerk = nullif((select current_setting('app.current_user', true)), '') or 'boss' = (select current_setting('app.current_user', true))))`},
	{name: "a view that is written to as its writer", ddl: `
		create view shop.v with (security_invoker = true) as select * from shop.orders; grant select, insert on shop.v to $APP;
		create function shop.f() returns trigger language plpgsql as 'begin insert into shop.orders (tenant_id, id) values (new.tenant_id, new.id); return new; end';
		create trigger g instead of insert on shop.v for each row execute function shop.f();
		create table shop.inbox (n int); create rule r as on insert to shop.inbox do also insert into shop.inbox values (1); grant select on shop.inbox to $APP`},
	{name: "triggers that look and that write where policies are", ddl: `
		create table shop.countries (code text primary key); grant select on shop.countries to $APP;
		create table shop.hidden_log (what jsonb);
		create function shop.f() returns trigger language plpgsql as 'begin perform from shop.countries;
			insert into shop.lines (tenant_id, order_id) values (new.tenant_id, new.id); insert into shop.hidden_log values (to_jsonb(new)); return new; end';
		create trigger g after insert on shop.orders for each row execute function shop.f()`},
	{name: "a function that sets the transaction's tenant", ddl: "create function shop.f(t text) returns void language plpgsql as $$ begin perform set_config('app.current_tenant', t, true); end $$"},
	{name: "a policy that asks a table that the role only reads", ddl: `create table shop.plans (t text primary key); grant select on shop.plans to $APP;
		alter policy tenant_insert on shop.orders with check (` + mine + ` and exists (select from shop.plans where t = tenant_id))`},
	{name: "what others may do", ddl: `
		reset role; create extension postgres_fdw; create server far foreign data wrapper postgres_fdw; create user mapping for $OWNER server far options (user 'postgres');
		grant usage on foreign server far to $OWNER; grant create on database $DB to $OWNER; grant execute on function pg_read_file(text) to $OWNER;
		select lo_from_bytea(0, 'x'); alter default privileges for role $OWNER in schema shop grant select on tables to pg_monitor`},
	{name: "a cascade from a table that the role only reads, and from the tenant's own", ddl: `create table shop.kinds (id int primary key); grant select, insert on shop.kinds to $APP;
		alter table shop.orders add kind int references shop.kinds on delete cascade;
		create table shop.typed (tenant_id text not null, id bigint not null, primary key (tenant_id, id), foreign key (tenant_id, id) references shop.orders (tenant_id, id) on delete cascade);
		grant select on shop.typed to $APP;` + rls.Enable(rls.Table{Name: "shop.typed", Column: "tenant_id"})},
	{name: "a policy that also asks for words, numbers and times", ddl: `alter table shop.orders add published timestamptz;
		alter policy tenant_select on shop.orders using (` + mine + ` and (ref = 'public' or total >= 0 or published < now()))`},
	{name: "a superuser's view of a view that asks as its reader", ddl: `reset role; create view shop.inner with (security_invoker = true) as select * from shop.orders;
		create view shop.outer as select * from shop.inner; grant select on shop.inner, shop.outer to $APP`},
	{name: "a definer function over such views", ddl: `reset role; create view shop.inner with (security_invoker = true) as select * from shop.orders;
		create view shop.outer as select * from shop.inner; create table shop.t (); grant select on shop.inner, shop.outer to $OWNER; set role $OWNER;
		create function shop.f() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from shop.outer'; revoke execute on function shop.f() from public`},
	{name: "a list of tenants that nobody reads", ddl: "create table shop.tenants (id text primary key, name text); alter table shop.orders add foreign key (tenant_id) references shop.tenants (id) not valid"},
	{name: "declared tables", ddl: "create table shop.legacy (tenant_id text); grant select on shop.legacy to $APP",
		opts: []rls.VerifyOption{rls.Tables(rls.Table{Name: "shop.orders"}, rls.Table{Name: `"shop".lines`, Column: "tenant_id"})}},
	{name: "another column", ddl: `
		create table shop.notes (org text not null, id bigint not null, primary key (org, id));
		grant select on shop.notes to $APP;` + rls.Enable(rls.Table{Name: "shop.notes", Column: "org"}),
		opts: []rls.VerifyOption{rls.Column("org"), rls.Tables(rls.Table{Name: "shop.notes"})}},
	{name: "a tenant role", ddl: `
		reset role; create role sound_clerk; grant sound_clerk to $APP; alter role $APP noinherit;
		grant usage on schema shop to sound_clerk; grant select on shop.orders to sound_clerk`,
		opts: []rls.VerifyOption{rls.Role("sound_clerk")}},
}

func TestVerifyIsQuietOnSoundDatabases(t *testing.T) {
	t.Parallel()
	for i, c := range slices.Concat(sound, soundReach) {
		if i%size.Of(6, 1, 1) > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newFixture(t)
			p.exec(t, c.ddl)
			r := p.verify(t, c.opts...)
			require.Empty(t, r.Findings, r.String())
			require.NotEmpty(t, r.Tables)
			require.True(t, r.OK())
			require.NoError(t, r.Err())
		})
	}
}
