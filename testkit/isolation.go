package testkit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// tenantColumn is the default of [TenantColumn].
const tenantColumn = "tenant_id"

// IsolationOption is an option of [RequireIsolation].
type IsolationOption func(*isolation)

type isolation struct {
	column  string
	shared  []string
	allowed map[string]string // the reason by table
}

// TenantColumn names the tenant column of [RequireIsolation]. Default: tenant_id.
func TenantColumn(name string) IsolationOption {
	return func(o *isolation) { o.column = name }
}

// SharedTables names tables, with the schema, if a policy lets a tenant read another tenant's
// rows. [RequireIsolation] tries the writes only.
func SharedTables(tables ...string) IsolationOption {
	return func(o *isolation) { o.shared = append(o.shared, tables...) }
}

// AllowTable leaves a table, named with the schema, out of [RequireIsolation]. The reason is
// required, and RequireIsolation logs the reason. If the table does not exist, or
// RequireIsolation would not judge the table anyway, the test fails.
func AllowTable(table, reason string) IsolationOption {
	return func(o *isolation) { o.allowed[table] = reason }
}

// RequireIsolation fails the test for every table in which a tenant can reach another tenant's
// rows, or a session without a tenant can reach any row. RequireIsolation finds three kinds of
// tables in the catalog:
//
//   - tables with the tenant column;
//   - children: tables without a tenant column that refer by a foreign key to a table with the
//     tenant column, or to a child. A row belongs to the tenant of the parent row;
//   - tables without a tenant that the program's role may write: all tenants read the rows of
//     any tenant. Allow the table by [AllowTable], or revoke the right to write.
//
// As every tenant with rows, and without a tenant, RequireIsolation reads, tries to change and
// delete rows of other tenants, to give own rows away, and to insert a row in another tenant's
// name. RequireIsolation rolls everything back. A table proves nothing without rows of two
// tenants: fill all tables first, as the program under test does.
//
// RequireIsolation logs the tables that no rule judged: tables without a tenant that the role
// reads only, and empty tables. RequireIsolation leaves out the tables that record applied
// migrations.
//
// db comes from [DB] or [Swap]. RequireIsolation returns the judged tables by name with schema.
func RequireIsolation(t testing.TB, db *fxdb.DB, opts ...IsolationOption) []string {
	t.Helper()
	o := isolation{column: tenantColumn, allowed: make(map[string]string)}
	for _, opt := range opts {
		opt(&o)
	}
	d, ok := databaseOf(db)
	if !ok {
		t.Fatalf("testkit: RequireIsolation: the *fxdb.DB is not of testkit: use testkit.DB or testkit.Swap")
	}
	admin, err := connectPatiently(t.Context(), d.server.admin.to(d.name))
	if err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	db = db.Named("testkit isolation")
	var role string
	if err := db.QueryRow(tenant.System(t.Context(), "testkit.RequireIsolation"), "select current_user::text").Scan(&role); err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	tables, err := isolatedTables(t.Context(), admin, o.column, role)
	if err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	return o.judge(t, db, admin, tables)
}

func (o *isolation) judge(t testing.TB, db *fxdb.DB, admin *pgx.Conn, tables []isolatedTable) (judged []string) {
	t.Helper()
	tables = o.leaveOut(t, tables)
	if !slices.ContainsFunc(tables, func(table isolatedTable) bool { return !table.common }) {
		t.Errorf("testkit: RequireIsolation: no table has a column %s", o.column)
	}
	tenants := tenantsOf(tables)
	for _, table := range tables {
		a := attempts{db: db, admin: admin, table: table, shared: slices.Contains(o.shared, table.name)}
		switch {
		case !table.common:
			if len(table.rows) < 2 {
				t.Errorf("testkit: %s has rows of %d tenants: a proof needs rows of two", table.name, len(table.rows))
			}
			a.findHoles(t.Context())
		case table.writable && !table.secured:
			a.hole("a session of any tenant can write the rows of all tenants: add the tenant column, revoke the right to write, or use AllowTable")
		case table.writable && len(table.rows) > 0:
			a.write(tenant.NewContext(t.Context(), tenant.Identity{Tenant: tenants[0]}), tenants[0], everyTenant)
		default:
			t.Logf("testkit: RequireIsolation did not judge %s: %s", table.name, table.unjudged())
			continue
		}
		judged = append(judged, table.name)
		if len(a.holes) > 0 && !table.common && !table.secured && table.parent == "" {
			a.holes[0] += fmt.Sprintf(": row-level security is off: \"go tool onepool enable -goose %s:%s\" writes the migration", table.name, o.column)
		}
		for _, hole := range a.holes {
			t.Errorf("testkit: %s: %s", table.name, hole)
		}
	}
	return judged
}

// leaveOut removes the allowed tables.
func (o *isolation) leaveOut(t testing.TB, tables []isolatedTable) []isolatedTable {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(o.allowed)) {
		at := slices.IndexFunc(tables, func(table isolatedTable) bool { return table.name == name })
		switch {
		case strings.TrimSpace(o.allowed[name]) == "":
			t.Errorf("testkit: AllowTable(%q): no reason: say why", name)
		case at < 0:
			t.Errorf("testkit: AllowTable(%q): RequireIsolation judges no table of this name: remove the allowance", name)
		default:
			t.Logf("testkit: RequireIsolation did not judge %s: allowed: %s", name, o.allowed[name])
			tables = slices.Delete(tables, at, at+1)
		}
	}
	return tables
}

// tenantsOf returns the tenants with rows, or a made-up tenant if no tenant has rows.
func tenantsOf(tables []isolatedTable) (names []string) {
	for _, table := range tables {
		for name := range table.rows {
			if !table.common && name != "" {
				names = append(names, name)
			}
		}
	}
	if names == nil {
		return []string{"testkit"}
	}
	slices.Sort(names)
	return names
}

// everyTenant owns the rows of a table without a tenant.
const everyTenant = "every tenant"

// isolatedTable is a table, and the number of rows by tenant.
type isolatedTable struct {
	name     string
	quoted   string
	tenant   string   // the SQL of the tenant of the row t
	columns  []string // the quoted columns that decide the tenant
	parent   string   // of a child
	common   bool     // the rows are every tenant's
	secured  bool
	writable bool
	rows     map[string]int64
}

// unjudged is the reason for not judging the table.
func (table isolatedTable) unjudged() string {
	if !table.writable {
		return "the table has no tenant, and the role can't write the table"
	}
	return "the table has policies, no tenant and no rows: add a row to try the policies"
}

func (table isolatedTable) countByTenant(ctx context.Context, on interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, where string, args ...any) (map[string]int64, error) {
	rows, err := on.Query(ctx, fmt.Sprintf("select coalesce(%s, ''), count(*) from %s t %s group by 1", table.tenant, table.quoted, where), args...)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	var who string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&who, &n}, func() error { counts[who] = n; return nil })
	if table.parent != "" {
		delete(counts, "") // the row of a child may have no parent
	}
	return counts, err
}
