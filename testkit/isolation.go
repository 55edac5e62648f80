package testkit

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// tenantColumn is what a table of tenants has.
const tenantColumn = "tenant_id"

// RequireIsolation fails the test for every table in which one tenant can reach
// another's rows, or nobody any. It finds the tables in the catalog: all that have
// a column tenant_id. As every tenant that has rows, and as none, it reads, and tries
// to take and delete a stranger's rows, to give own ones away, and to insert a row in
// a stranger's name, and rolls all of it back. A table proves nothing without rows of two tenants: fill all of them first,
// as the program under test does. In the tables shared, rows of others may be read,
// since a policy grants that; they are told by their names with schema.
//
// db comes from DB or Swap. It returns the tables, by name with schema.
func RequireIsolation(t testing.TB, db *fxdb.DB, shared ...string) []string {
	t.Helper()
	d, ok := databaseOf(db)
	if !ok {
		t.Fatalf("testkit: RequireIsolation: this *fxdb.DB was not made by testkit")
	}
	admin, err := connectPatiently(t.Context(), d.server.admin.to(d.name))
	if err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	tables, err := tenantTables(t.Context(), admin)
	if err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	if len(tables) == 0 {
		t.Errorf("testkit: RequireIsolation: no table has a column %s", tenantColumn)
	}
	db = db.Named("testkit isolation")
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = table.name
		if len(table.rows) < 2 {
			t.Errorf("testkit: %s has rows of %d tenants: two are needed to prove anything", table.name, len(table.rows))
		}
		a := attempts{db: db, admin: admin, table: table, shared: slices.Contains(shared, table.name)}
		for _, hole := range a.findHoles(t.Context()) {
			t.Errorf("testkit: %s: %s", table.name, hole)
		}
	}
	return names
}

// tenantTable is a table and how many rows each tenant has in it.
type tenantTable struct {
	name   string
	quoted string
	rows   map[string]int64
}

// tenantTables looks at the database as the server's administrator, whom no policy
// binds.
func tenantTables(ctx context.Context, admin *pgx.Conn) ([]tenantTable, error) {
	rows, err := admin.Query(ctx, `
		select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname)
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_attribute a on a.attrelid = c.oid
		where c.relkind in ('r', 'p') and not c.relispartition and a.attname = $1 and not a.attisdropped
		and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
		order by 1`, tenantColumn)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (table tenantTable, err error) {
		err = row.Scan(&table.name, &table.quoted)
		return table, err
	})
	for i := range tables {
		if err == nil {
			tables[i].rows, err = countByTenant(ctx, admin, tables[i].quoted)
		}
	}
	return tables, err
}

func countByTenant(ctx context.Context, on interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, table string) (map[string]int64, error) {
	rows, err := on.Query(ctx, fmt.Sprintf("select coalesce(%s::text, ''), count(*) from %s group by 1", tenantColumn, table))
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	var who string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&who, &n}, func() error { counts[who] = n; return nil })
	return counts, err
}
