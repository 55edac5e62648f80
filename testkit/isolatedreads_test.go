package testkit_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// shop has sound tables of two tenants, and beside them what each hole of the tests needs.
const shop = `-- +goose Up
create schema shop;
create table shop.rates (currency text primary key, rate numeric not null);
insert into shop.rates values ('EUR', 1), ('USD', 1.1);
create table shop.orders (tenant_id text not null, id bigint primary key, currency text references shop.rates, total int);
insert into shop.orders values ('acme', 1, 'EUR', 10), ('acme', 2, 'USD', 20), ('globex', 3, 'EUR', 30);
create table shop.lines (order_id bigint not null references shop.orders, item text not null);
insert into shop.lines values (1, 'pen'), (2, 'ink'), (3, 'pad');
alter table shop.orders enable row level security;
alter table shop.orders force row level security;
create policy isolation on shop.orders using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
create table shop.notes (tenant_id text not null, body text not null);
insert into shop.notes values ('acme', 'a'), ('globex', 'g');
alter table shop.notes enable row level security; -- not forced: the owner sees all rows
create policy isolation on shop.notes using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
`

func shopWith(t *testing.T, ddl string) *fxdb.DB {
	t.Helper()
	return testkit.DB(t, testkit.Migrations("shop", fstest.MapFS{"00001_shop.sql": {Data: []byte(shop + ddl + "\n")}}))
}

// readAll reads a statement to its end, as the tenant acme.
func readAll(t testing.TB, db *fxdb.DB, sql string, args ...any) {
	rows, err := db.Query(asTenant(t, "acme"), sql, args...)
	require.NoError(t, err)
	rows.Close()
	require.NoError(t, rows.Err())
}

func TestRequireIsolatedReadsFindsHolesAboveTheTables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ddl, sql string
		args     []any
	}{
		"a view with its owner's rights":      {"create view shop.v as select * from shop.notes;", "select body from shop.v", nil},
		"a view that counts":                  {"create view shop.v as select count(*) n from shop.notes;", "select n from shop.v", nil},
		"a function with its owner's rights":  {"create function shop.f() returns bigint language sql security definer as 'select count(*) from shop.notes';", "select shop.f()", nil},
		"a function that finds by id":         {"create function shop.f(who text) returns setof text language sql security definer as 'select body from shop.notes where tenant_id = who';", "select * from shop.f($1)", []any{"acme"}},
		"a join with a table without policy":  {"", "select l.item from shop.rates r cross join shop.lines l where l.order_id = $1", []any{1}},
		"a table without policy alone":        {"", "select item from shop.lines order by item limit 2", nil},
		"an outer join from the wrong side":   {"", "select l.item, o.id from shop.lines l left join shop.orders o on o.id = l.order_id", nil},
		"an exists":                           {"", "select exists (select from shop.lines where item = 'ink')", nil},
		"a materialized view":                 {"create materialized view shop.m as select currency, count(*) n from shop.notes, shop.rates group by 1;", "select n from shop.m", nil},
		"an open policy":                      {"create policy everyone on shop.orders for select using (true);", "select sum(total) from shop.orders", nil},
		"a policy that nobody passes":         {"create policy nobody on shop.orders for select using (coalesce(current_setting('app.current_tenant', true), '') = '');", "select id from shop.orders", nil},
		"a policy with a second way":          {"create policy cheap on shop.orders for select using (total < 15);", "select max(total) from shop.orders", nil},
		"a partition that is read directly":   {partitioned, "select body from shop.parts_all", nil},
		"a common table expression":           {"create view shop.v as select * from shop.notes;", "with x as (select body from shop.v) select count(*) from x", nil},
		"a union":                             {"", "select id::text from shop.orders union all select item from shop.lines", nil},
		"arguments by name, and a text array": {"create view shop.v as select * from shop.notes;", "select body from shop.v where tenant_id = any(@who)", []any{pgx.NamedArgs{"who": []string{"acme"}}}},
	} {
		if size.Of(!strings.HasPrefix(name, "a view"), false, false) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shopWith(t, c.ddl)
			got := &complaints{TB: t}
			testkit.RequireIsolatedReads(got, db, func() { readAll(t, db, c.sql, c.args...) })
			require.NotEmpty(t, got.all, "the hole was not found")
			require.Contains(t, got.all[0], `depends on rows of tenant "acme"`)
			require.Contains(t, got.all[0], "testkit_test.readAll (testkit/isolatedreads_test.go:")
			require.NotContains(t, strings.Join(got.all, "\n"), "RequireIsolatedReads: replay")
		})
	}
}

const partitioned = `
create table shop.parts (tenant_id text not null, body text not null) partition by list (tenant_id);
create table shop.parts_all partition of shop.parts default;
insert into shop.parts values ('acme', 'a'), ('globex', 'g');
alter table shop.parts enable row level security;
alter table shop.parts force row level security;
create policy isolation on shop.parts using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));`

func TestRequireIsolatedReadsPassesSoundReads(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, c := range map[string]struct {
		ddl, sql string
		args     []any
	}{
		"a table":                      {"", "select * from shop.orders", nil},
		"a row by its key":             {"", "select * from shop.orders where id = $1", []any{1}},
		"a count":                      {"", "select count(*) from shop.orders", nil},
		"a table of all tenants":       {"", "select * from shop.rates", nil},
		"equal rows of both":           {"", "select distinct currency from shop.orders", nil},
		"a constant":                   {"", "select 1", nil},
		"the clock":                    {"", "select clock_timestamp(), count(*) from shop.orders", nil},
		"a join through the policy":    {"", "select l.item from shop.orders o join shop.lines l on l.order_id = o.id", nil},
		"a view with the reader's":     {"create view shop.v with (security_invoker) as select * from shop.notes;", "select * from shop.v", nil},
		"a view above a forced policy": {"create view shop.v as select * from shop.orders;", "select * from shop.v", nil},
		"a random number":              {"", "select random()", nil},
		"a write behind with":          {"", "with x as (insert into shop.orders values ('acme', 8, 'EUR', 1) returning id) select pg_backend_pid(), id from x", nil},
		"a write is no read":           {"", "insert into shop.orders values ('acme', 9, 'EUR', 1) returning id", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shopWith(t, c.ddl)
			testkit.RequireIsolatedReads(t, db, func() {
				readAll(t, db, c.sql, c.args...)
				readAll(t, db, "select id from shop.orders")
			})
			var n int
			require.NoError(t, db.QueryRow(asTenant(t, "acme"), "select count(*) from shop.orders where id < 8").Scan(&n))
			require.Equal(t, 2, n, "the replay was rolled back")
		})
	}
}

func TestRequireIsolatedReadsKnowsTheTenantOfATransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := shopWith(t, "")
	got := &complaints{TB: t}
	testkit.RequireIsolatedReads(got, db, func() {
		require.NoError(t, db.InTx(asTenant(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
			var n int
			return tx.QueryRow(context.Background(), "select count(*) from shop.lines").Scan(&n)
		}))
	})
	require.Len(t, got.all, 2, "another tenant and a session without a tenant")
	require.Contains(t, got.all[0], "the read of a session without a tenant")
	require.Contains(t, got.all[1], `the read of a session of tenant "globex"`)

	testkit.RequireIsolatedReads(t, db, func() { readAll(t, db, "select count(*) from shop.orders") }, "shop.lines")
}

func TestRequireIsolatedReadsWantsSomethingToReplay(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := shopWith(t, "")
	got := &complaints{TB: t}
	testkit.RequireIsolatedReads(got, db, func() { require.NoError(t, db.Ping(t.Context())) })
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "sent no read as a tenant")

	alone := testkit.DB(t, testkit.Migrations("notes", notes))
	got = &complaints{TB: t}
	testkit.RequireIsolatedReads(got, alone, func() { readAll(t, alone, "select * from notes.notes") })
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "rows of 0 tenants")
}
