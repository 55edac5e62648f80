package rls_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

func as(t testing.TB, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

// owned returns a pool, and its database's owner with the statements run.
func owned(t *testing.T, ddl ...string) (*fxdb.DB, *pgxpool.Pool) {
	t.Helper()
	db := testkit.DB(t)
	owner := testkit.OwnerPool(t, db)
	for _, sql := range ddl {
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	return db, owner
}

func count(t *testing.T, db *fxdb.DB, ctx context.Context, sql string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow(ctx, sql).Scan(&n))
	return n
}

func code(err error) string {
	if e := new(pgconn.PgError); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestEnableIsolatesEveryCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, a, b string }{
		{rls.Text, "acme", "it's; \"globex\""},
		{rls.UUID, "8f3c0d6e-0a4b-4c68-9d3e-1f2a3b4c5d6e", "0e9d8c7b-6a59-4847-8635-241302f1e0d9"},
		{rls.BigInt, "1", "-9223372036854775808"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			tables := []rls.Table{{Name: `"odd; schema"."Or""ders"`, Column: `tenant "id"`, Type: c.kind, Index: true}}
			const orders = `"odd; schema"."Or""ders"`
			db, owner := owned(t, `create schema "odd; schema"; create table `+orders+` ("tenant ""id""" `+c.kind+` not null, id int not null, body text)`,
				rls.Enable(tables...), rls.Enable(tables...))

			insert := `insert into ` + orders + ` values ($1::text::` + c.kind + `, $2, 'x')`
			for _, me := range []string{c.a, c.b} {
				_, err := db.Exec(as(t, me), insert, me, 1)
				require.NoError(t, err)
			}
			for _, me := range []string{c.a, c.b} {
				require.Equal(t, 1, count(t, db, as(t, me), "select count(*) from "+orders))
			}
			_, err := db.Exec(as(t, c.a), insert, c.b, 2)
			require.Equal(t, "42501", code(err), "insert for another tenant")
			_, err = db.Exec(as(t, c.a), `update `+orders+` set "tenant ""id""" = $1::text::`+c.kind, c.b)
			require.Equal(t, "42501", code(err), "give a row away")
			for _, sql := range []string{"update " + orders + " set body = 'mine'", "delete from " + orders} {
				tag, err := db.Exec(as(t, c.a), sql)
				require.NoError(t, err)
				require.EqualValues(t, 1, tag.RowsAffected(), sql)
			}
			require.Equal(t, 1, count(t, db, as(t, c.b), "select count(*) from "+orders+" where body = 'x'"))

			// Nobody, on a connection that has had a tenant.
			require.Zero(t, count(t, db, t.Context(), "select count(*) from "+orders))
			_, err = db.Exec(t.Context(), insert, c.a, 3)
			require.Equal(t, "42501", code(err))
			// The owner is bound too, until Disable.
			var n int
			require.NoError(t, owner.QueryRow(t.Context(), "select count(*) from "+orders).Scan(&n))
			require.Zero(t, n)
			_, err = owner.Exec(t.Context(), rls.Disable(tables...))
			require.NoError(t, err)
			require.Equal(t, 1, count(t, db, t.Context(), "select count(*) from "+orders))
			require.Zero(t, count(t, db, t.Context(), `select (select count(*) from pg_policies) + (select count(*) from pg_indexes where schemaname = 'odd; schema')`))
		})
	}
}

func TestAPointReadUsesTheTenantsIndex(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, owner := owned(t)
	for _, kind := range []string{rls.Text, rls.UUID, rls.BigInt} {
		for _, sharing := range []string{"none", "shares"} {
			me := map[string]string{rls.Text: "7", rls.UUID: "00000000-0000-0000-0000-000000000007", rls.BigInt: "7"}[kind]
			value := map[string]string{rls.Text: "i::text", rls.UUID: "lpad(i::text, 32, '0')::uuid", rls.BigInt: "i"}[kind]
			schema := kind + "_" + sharing
			orders := rls.Table{Name: schema + ".orders", Column: "tenant_id", Type: kind}
			if sharing != "none" {
				orders.Sharing = &rls.Sharing{Name: schema + ".shares"}
			}
			for _, sql := range []string{
				`create schema $S; grant usage on schema $S to public;
				create table $S.shares (owner_tenant_id ` + kind + `, reader_tenant_id ` + kind + `, primary key (owner_tenant_id, reader_tenant_id));
				create table $S.orders (tenant_id ` + kind + ` not null, id int not null, body text, primary key (tenant_id, id));
				insert into $S.orders select ` + value + `, j, 'x' from generate_series(1, 100) i, generate_series(1, 100) j`,
				rls.Enable(orders), "analyze $S.orders",
			} {
				_, err := owner.Exec(t.Context(), strings.ReplaceAll(sql, "$S", schema))
				require.NoError(t, err, sql)
			}
			rows, err := db.Query(as(t, me), "explain (analyze, costs off, timing off) select body from "+schema+".orders where id = 5")
			require.NoError(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			plan := strings.Join(lines, "\n")
			require.NotContains(t, plan, "Seq Scan on orders", schema)
			require.Regexp(t, `Index Cond: \(\(tenant_id = .*AND \(id = 5\)\)`, plan, schema)
			require.Contains(t, plan, "InitPlan", "the setting is read once")
		}
	}
}

func TestSharingShowsRowsToTheReaderAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, _ := owned(t, `
		create table orders (tenant_id text not null, id int not null, body text, primary key (tenant_id, id));
		create table shares (owner_tenant_id text, reader_tenant_id text, module text, primary key (owner_tenant_id, reader_tenant_id, module));
		insert into orders values ('acme', 1, 'a'), ('globex', 1, 'g')`,
		rls.Enable(rls.Table{Name: "orders", Column: "tenant_id", Sharing: &rls.Sharing{Name: "shares", Module: `it's a\shop`}}))
	const all = "select count(*) from orders"
	grant := func(me, owner, reader, module string) error {
		_, err := db.Exec(as(t, me), "insert into shares values ($1, $2, $3)", owner, reader, module)
		return err
	}

	require.Equal(t, "42501", code(grant("globex", "acme", "globex", `it's a\shop`)), "a reader grants itself")
	require.NoError(t, grant("acme", "acme", "globex", "another"))
	require.Equal(t, 1, count(t, db, as(t, "globex"), all), "another module's grant")
	require.NoError(t, grant("acme", "acme", "globex", `it's a\shop`))

	require.Equal(t, 2, count(t, db, as(t, "globex"), all))
	require.Equal(t, 1, count(t, db, as(t, "acme"), all), "it works one way")
	require.Equal(t, 1, count(t, db, as(t, "initech"), "select 1 + count(*) from orders"))
	require.Zero(t, count(t, db, t.Context(), all))
	for _, sql := range []string{"update orders set body = 'x' where tenant_id = 'acme'", "delete from orders where tenant_id = 'acme'", "delete from shares"} {
		tag, err := db.Exec(as(t, "globex"), sql)
		require.NoError(t, err)
		require.Zero(t, tag.RowsAffected(), sql)
	}
	require.Equal(t, 2, count(t, db, as(t, "globex"), "select count(*) from shares"), "a reader sees what it was given")
	_, err := db.Exec(as(t, "acme"), "delete from shares")
	require.NoError(t, err)
	require.Equal(t, 1, count(t, db, as(t, "globex"), all))
}

func TestBadArgumentsMakeDDLThatFails(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, owner := owned(t, "create table orders (tenant_id text)")
	good := rls.Table{Name: "orders", Column: "tenant_id"}
	long := strings.Repeat("x", 64)
	for _, c := range []struct {
		name   string
		tables []rls.Table
		want   string
	}{
		{"none", nil, "no table is given"},
		{"an empty name", []rls.Table{good, {Column: "tenant_id"}}, "table 2: name \"\" is empty"},
		{"an empty column", []rls.Table{good, {Name: "a"}}, `column "" of "a" is empty`},
		{"an empty part", []rls.Table{{Name: "a.", Column: "c"}}, "empty part"},
		{"three parts", []rls.Table{{Name: "a.b.c", Column: "c"}}, "more than two parts"},
		{"an open quote", []rls.Table{{Name: `"a`, Column: "c"}}, "not closed"},
		{"text behind a quote", []rls.Table{{Name: `"a"b`, Column: "c"}}, "goes on"},
		{"a long name", []rls.Table{{Name: long, Column: "c"}}, "longer than 63 bytes"},
		{"a NUL", []rls.Table{{Name: "a\x00b", Column: "c"}}, `"a\x00b" holds a control character`},
		{"a line end", []rls.Table{{Name: "a", Column: "c\n-- +goose Down"}}, "control character"},
		{"not UTF-8", []rls.Table{{Name: "a", Column: "\xff"}}, "not valid UTF-8"},
		{"a type", []rls.Table{{Name: "a", Column: "c", Type: "text; drop table orders"}}, `type "text; drop table orders" of "a" is unknown`},
		{"a quote and a dollar", []rls.Table{{Name: "a", Column: "c", Type: `'; end $onepool$; drop table orders; --\`}}, "is unknown"},
		{"twice", []rls.Table{good, good}, "given twice"},
		{"no grants", []rls.Table{{Name: "a", Column: "c", Sharing: &rls.Sharing{}}}, "sharing of"},
		{"one column for both", []rls.Table{{Name: "a", Column: "c", Sharing: &rls.Sharing{Name: "s", Owner: "x", Reader: "x"}}}, "same column"},
		{"grants as a table", []rls.Table{good, {Name: "s", Column: "c"}, {Name: "a", Column: "c", Sharing: &rls.Sharing{Name: "s"}}}, "both a table and the grants"},
	} {
		for what, ddl := range map[string]string{"enable": rls.Enable(c.tables...), "disable": rls.Disable(c.tables...)} {
			_, err := owner.Exec(t.Context(), ddl)
			require.Equal(t, "22023", code(err), "%s: %s: %v\n%s", c.name, what, err, ddl)
			require.ErrorContains(t, err, c.want, c.name)
			require.NotContains(t, ddl, "alter table", "nothing is done by half")
		}
	}
	require.Zero(t, count(t, db, t.Context(), "select count(*) from pg_policies"))
	require.Zero(t, count(t, db, t.Context(), "select count(*) from orders"))
}

func TestMigrationGoesUpAndDown(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	table := rls.Table{Name: "shop.orders", Column: "tenant_id", Index: true}
	files := fstest.MapFS{
		"00001_orders.sql":  {Data: []byte("-- +goose Up\ncreate schema shop;\ncreate table shop.orders (tenant_id text not null);\n-- +goose Down\ndrop schema shop cascade;\n")},
		"00002_tenancy.sql": {Data: []byte(rls.Migration(table))},
	}
	db := testkit.DB(t, testkit.Migrations("shop", files))
	r, err := rls.Verify(t.Context(), db)
	require.NoError(t, err)
	require.Empty(t, r.Findings, r.String())
	require.Equal(t, []string{"shop.orders"}, r.Tables)

	_, down, _ := strings.Cut(rls.Migration(table), "-- +goose Down")
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), down)
	require.NoError(t, err)
	r, err = rls.Verify(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, "table-rls-off", r.Findings[0].Code)
}
