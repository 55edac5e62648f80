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

// Schema is a client's schema. Its methods are tests, each on a database of its
// own.
type Schema struct {
	Source     string // of the migrations: the client's name
	Name       string
	Shared     []string // the tables that belong to no tenant
	View       string   // the one view, if there is one
	Search     string   // the parent of a table that shows rows by words, if there is one
	Tables     int      // how many belong to tenants
	Migrations fs.FS
}

// Of returns the tables that belong to tenants, by the catalog. Each must be led by
// its tenant: that column is the first of every key, of every index that has an
// order and of every reference.
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

// notTenants are the tables whose rows belong to no tenant, and the table without rows.
func (s Schema) notTenants() []string {
	if s.Search == "" {
		return s.Shared
	}
	return append(slices.Clone(s.Shared), s.Search)
}

// strangers are all who have nothing to do with acme's rows.
func strangers(t testing.TB) map[string]context.Context {
	return map[string]context.Context{"another tenant": As(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")}
}

// ShowsNothing fails unless acme's rows, at least one in each table, are its own only.
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

// RefusesForged fails unless nobody but acme can insert a row of acme's, and acme
// can give none away. forged has columns and values by the table; every table has
// a row of acme's. Without a tenant the column has no default: without is an insert
// that would make a row of nobody's.
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
	require.Error(t, err)
}

// RefersToItsOwn fails unless a foreign key, which sees no policies, is led by the
// tenant: sql refers as globex to a row of acme's.
func RefersToItsOwn(t testing.TB, db *fxdb.DB, sql string) {
	t.Helper()
	_, err := db.Exec(As(t, "globex"), sql)
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
}

// IsForced fails unless every tenant's table has its policies, one for each
// command, and the owner meets them too; the library's verifier must find nothing.
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
	// Behind a policy the operators of GIN indexes, not being leakproof, filter what
	// another index found: one of these would cost writes and serve no read. Only a
	// condition of a policy itself, the policy of the table Search, may ask one.
	gin := Catalog(t, db, "select indexname::text from pg_indexes where schemaname = '"+s.Name+"' and indexdef like '%USING gin%'")
	if s.Search == "" {
		require.Empty(t, gin)
	}
	report, err := rls.Verify(t.Context(), db.Pool())
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Findings)
	require.Empty(t, slices.DeleteFunc(report.Findings, func(f rls.Finding) bool { return f.Level == rls.LevelNote }))
}

// UsesIndexes fails unless the tenant in ctx reads by these indexes: part of a name
// by the statement.
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

// GoesDownAndUp fails unless the migrations leave nothing behind when they are
// taken back, and can be applied again. check is the client's CheckSchema.
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

// SaysWhatIsMissing fails unless check, the client's CheckSchema, names what the
// pool's role lacks. It leaves a database that can't be used.
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

	// What is no fault of the schema does not send anybody to the migrations.
	require.NoError(t, db.Close(t.Context()))
	err = check(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
}
