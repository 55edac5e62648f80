package clienttest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

// Schema is a client's schema. The methods of Schema are tests, each on a database of the test's
// own.
type Schema struct {
	Source     string // of the migrations: the client's name
	Name       string
	Shared     []string // the tables without a tenant
	View       string   // the view; empty: no view
	Search     string   // the parent of a table that shows rows by words; empty: no parent
	Tables     int      // the number of tables that belong to tenants
	Migrations fs.FS
}

// Of returns the tables that belong to tenants, by the catalog. Of fails unless tenant_id is the
// first column of every key, every ordered index and every reference of the tables.
func (s Schema) Of(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	tables := Catalog(t, db, fmt.Sprintf(`
		select oid::regclass::text from pg_class where relnamespace = '%s'::regnamespace and relkind in ('r', 'p', 'm', 'f')
		and oid::regclass::text <> all ('{%s}') order by 1`, s.Name, strings.Join(s.notTenants(), ",")))
	require.Len(t, tables, s.Tables)
	require.Empty(t, Catalog(t, db, fmt.Sprintf(`
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
		join pg_am am on am.oid = x.relam join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = '%s'::regnamespace and c.oid::regclass::text <> all ('{%s}') and am.amname = 'btree' and a.attname <> 'tenant_id'`,
		s.Name, strings.Join(s.notTenants(), ","))), "indexes that the tenant does not lead")
	require.Empty(t, Catalog(t, db, fmt.Sprintf(`
		select conname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.connamespace = '%s'::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id' and k.conrelid::regclass::text <> all ('{%s}')`,
		s.Name, strings.Join(s.notTenants(), ","))),
		"references that the tenant does not lead")
	return tables
}

// notTenants returns the tables with rows of no tenant, and the table without rows.
func (s Schema) notTenants() []string {
	if s.Search == "" {
		return s.Shared
	}
	return append(slices.Clone(s.Shared), s.Search)
}

// strangers returns a context for each caller without access to acme's rows.
func strangers(t testing.TB) map[string]context.Context {
	return map[string]context.Context{"another tenant": As(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")}
}

// ShowsNothing fails unless acme alone can read, update and delete acme's rows. Each table must
// have a row of acme's.
func (s Schema) ShowsNothing(t testing.TB, db *fxdb.DB) {
	t.Helper()
	count := func(ctx context.Context, table string) (n int) {
		Scan(t, ctx, db, "select count(*) from "+table, &n)
		return n
	}
	all := s.Of(t, db)
	if s.View != "" {
		all = append(all, s.View)
	}
	for _, table := range all {
		acme := As(t, "acme")
		own := count(acme, table)
		require.Positive(t, own, table)
		for who, ctx := range strangers(t) {
			require.Zero(t, count(ctx, table), "%s read %s", who, table)
			if table == s.View {
				continue
			}
			for _, sql := range []string{"update %s set tenant_id = tenant_id", "delete from %s"} {
				tag, err := db.Exec(ctx, fmt.Sprintf(sql, table))
				require.NoError(t, err)
				require.Zero(t, tag.RowsAffected(), "%s: "+sql, who, table)
			}
		}
		require.Equal(t, own, count(acme, table), table)
	}
}

// RefusesForged fails unless only acme can insert a row of acme's, and acme can't give a row away.
// Each table must have a row of acme's. forged has the columns and values of a row by table.
// without is an insert that would make a row of no tenant: the server must refuse the insert.
func (s Schema) RefusesForged(t testing.TB, db *fxdb.DB, forged map[string]string, without string) {
	t.Helper()
	for _, table := range s.Of(t, db) {
		require.Contains(t, forged, table)
		for who, ctx := range strangers(t) {
			for _, conflict := range []string{"", " on conflict do nothing"} {
				_, err := db.Exec(ctx, "insert into "+table+forged[table]+conflict)
				require.True(t, IsCode(err, "42501"), "%s forged a row of %s: %v", who, table, err)
				require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden)
			}
		}
		_, err := db.Exec(As(t, "acme"), "update "+table+" set tenant_id = 'globex'")
		require.True(t, IsCode(err, "42501"), "a row of %s was given away: %v", table, err)
	}
	_, err := db.Exec(t.Context(), without)
	require.True(t, IsCode(err, "42501") || IsCode(err, "23502"), "a row of no tenant was inserted, or refused for a different reason: %v", err)
}

// RefersToItsOwn fails unless the server refuses sql, a reference of globex to a row of acme's. The
// server checks a foreign key without policies: the tenant must lead the key.
func RefersToItsOwn(t testing.TB, db *fxdb.DB, sql string) {
	t.Helper()
	_, err := db.Exec(As(t, "globex"), sql)
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
}

// IsForced fails unless every tenant's table has a policy for each command, and the owner meets the
// policies too. [rls.Verify] must find nothing but notes.
func (s Schema) IsForced(t testing.TB, db *fxdb.DB) {
	t.Helper()
	for _, table := range s.Of(t, db) {
		var enabled, forced bool
		var commands []string
		var wrong int
		require.NoError(t, testkit.OwnerPool(t, db).QueryRow(t.Context(), `
			select relrowsecurity, relforcerowsecurity, array(select polcmd::text from pg_policy where polrelid = c.oid order by 1),
			       (select count(*) from pg_policy where polrelid = c.oid
			        and concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) not like '%NULLIF(( SELECT current_setting(%')
			from pg_class c where oid = $1::regclass`, table).Scan(&enabled, &forced, &commands, &wrong))
		require.True(t, enabled && forced, table)
		require.Equal(t, []string{"a", "d", "r", "w"}, commands, table)
		require.Zero(t, wrong, table)
	}
	require.Empty(t, Catalog(t, db, "select oid::regclass::text from pg_class where relkind = 'v' and relnamespace = '"+s.Name+
		"'::regnamespace and not coalesce('security_invoker=true' = any(reloptions), false)"), "views that meet no policies")
	// The operators of GIN indexes are not leakproof. Behind a policy, the operators only filter
	// the rows of a different index: a GIN index would cost writes and serve no read. Only the
	// condition of a policy itself, the policy of the table Search, may use a GIN index.
	gin := Catalog(t, db, "select indexname::text from pg_indexes where schemaname = '"+s.Name+"' and indexdef like '%USING gin%'")
	if s.Search == "" {
		require.Empty(t, gin)
	}
	report, err := rls.Verify(t.Context(), db.Pool())
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Findings)
	require.Empty(t, slices.DeleteFunc(report.Findings, func(f rls.Finding) bool { return f.Level == rls.LevelNote }))
}

// UsesIndexes fails unless the tenant in ctx reads by indexes. indexes has a part of the index's
// name by statement.
func UsesIndexes(t testing.TB, ctx context.Context, db *fxdb.DB, indexes map[string]string) {
	t.Helper()
	for sql, index := range indexes {
		rows, err := db.Query(ctx, "explain "+sql)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(plan, func(l string) bool { return strings.Contains(l, index) }), "%s: %v", sql, plan)
	}
}

// GoesDownAndUp fails unless the down migrations remove the schema, and the up migrations apply
// again. check is the client's CheckSchema.
func (s Schema) GoesDownAndUp(t testing.TB, db *fxdb.DB, check func(context.Context) error) {
	t.Helper()
	owner := testkit.OwnerPool(t, db).Config().ConnConfig
	sources, err := migrate.Check([]migrate.Source{{Name: s.Source, FS: s.Migrations}})
	require.NoError(t, err)
	require.NoError(t, check(t.Context()))

	require.NoError(t, migrate.Down(t.Context(), owner, sources))
	require.Empty(t, Catalog(t, db, "select nspname::text from pg_namespace where nspname = '"+s.Name+"'"))
	err = check(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "DB_MIGRATE")
	require.NoError(t, migrate.Up(t.Context(), owner, zap.NewNop(), sources))
	require.NoError(t, check(t.Context()))
}

// SaysWhatIsMissing fails unless check, the client's CheckSchema, names each missing
// privilege, migration and view. SaysWhatIsMissing leaves the database unusable.
func (s Schema) SaysWhatIsMissing(t testing.TB, db *fxdb.DB, check func(context.Context) error) {
	t.Helper()
	change := func(sql string) {
		t.Helper()
		_, err := testkit.OwnerPool(t, db).Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	lacks := func(what string) {
		t.Helper()
		err := check(t.Context())
		require.ErrorIs(t, err, modules.ErrSchema)
		require.ErrorContains(t, err, s.Source+": check the schema: ")
		require.ErrorContains(t, err, what)
	}
	for _, table := range slices.Concat(s.Of(t, db), s.Shared) {
		for _, privilege := range []string{"select", "insert", "update", "delete"} {
			change("revoke " + privilege + " on " + table + " from onepool_app")
			lacks(table)
			change("grant " + privilege + " on " + table + " to onepool_app")
		}
	}
	require.NoError(t, check(t.Context()))
	files, err := fs.Glob(s.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	change(fmt.Sprintf("update onepool.%s_versions set is_applied = false where version_id = %d", s.Source, len(files)))
	lacks(fmt.Sprintf("it is at version %d, needed is %d", len(files)-1, len(files)))
	change("update onepool." + s.Source + "_versions set is_applied = true")
	change("revoke usage on schema onepool from onepool_app")
	lacks("")
	change("grant usage on schema onepool to onepool_app")
	if s.View != "" {
		change("drop view " + s.View)
		lacks(s.View)
	}
	change("revoke usage on schema " + s.Name + " from onepool_app")
	lacks("")

	// An error without a fault of the schema must not point to the migrations.
	require.NoError(t, db.Close(t.Context()))
	err = check(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
}
