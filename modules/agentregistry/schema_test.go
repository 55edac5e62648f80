package agentregistry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// tenantTables are all tables of the schema, by the catalog. Each must be led by
// its tenant: that column is the first of every key and of every index.
func tenantTables(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	owner := testkit.Owner(t, db)
	rows, err := owner.Query(t.Context(), `
		select oid::regclass::text from pg_class where relnamespace = 'registry'::regnamespace and relkind in ('r', 'p', 'm', 'f') order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	rows, err = owner.Query(t.Context(), `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
		join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = 'registry'::regnamespace and a.attname <> 'tenant_id'`)
	require.NoError(t, err)
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, others, "indexes that the tenant does not lead")
	return tables
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme := as(t, "acme")
	register(t, acme, c, agent("ada", func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go"} }))
	_, err := c.RecordPerformance(acme, "ada", agentregistry.Metrics{})
	require.NoError(t, err)

	for _, table := range append(tenantTables(t, db), "registry.agent_overview") {
		var own int
		require.NoError(t, db.QueryRow(acme, "select count(*) from "+table).Scan(&own))
		require.Equal(t, 1, own, table)
		for who, ctx := range map[string]context.Context{
			"another tenant": as(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test"),
		} {
			var n int
			require.NoError(t, db.QueryRow(ctx, "select count(*) from "+table).Scan(&n))
			require.Zero(t, n, "%s read %s", who, table)
			if table == "registry.agent_overview" {
				continue
			}
			for _, sql := range []string{"update %s set created_at = now()", "delete from %s"} {
				if strings.HasPrefix(sql, "update") && table == "registry.performance_events" {
					sql = "update %s set success = true"
				}
				tag, err := db.Exec(ctx, fmt.Sprintf(sql, table))
				require.NoError(t, err)
				require.Zero(t, tag.RowsAffected(), "%s: "+sql, who, table)
			}
		}
		require.NoError(t, db.QueryRow(acme, "select count(*) from "+table).Scan(&own))
		require.Equal(t, 1, own, table)
	}
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	register(t, acme, c, agent("ada"))
	register(t, globex, c, agent("eve"))
	columns := map[string]string{
		"registry.agents":             "(tenant_id, id, name, model_family) values ('acme', 'mallory', 'Mallory', 'x')",
		"registry.agent_capabilities": "(tenant_id, agent_id, kind, value) values ('acme', 'ada', 'language', 'Go')",
		"registry.agent_performance":  "(tenant_id, agent_id) values ('acme', 'ada')",
		"registry.performance_events": "(tenant_id, agent_id, success, quality_score, latency_ms) values ('acme', 'ada', true, 1, 1)",
		"registry.agent_load":         "(tenant_id, agent_id) values ('acme', 'ada')",
	}
	for _, table := range tenantTables(t, db) {
		require.Contains(t, columns, table)
		for who, ctx := range map[string]context.Context{"another tenant": globex, "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")} {
			for _, conflict := range []string{"", " on conflict do nothing"} {
				_, err := db.Exec(ctx, "insert into "+table+columns[table]+conflict)
				require.True(t, isCode(err, "42501"), "%s forged a row of %s: %v", who, table, err)
				require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden)
			}
		}
		// Nor may a row be given away. Capabilities and events are empty: nothing to give.
		tag, err := db.Exec(acme, "update "+table+" set tenant_id = 'globex'")
		if err == nil {
			require.Zero(t, tag.RowsAffected(), table)
		} else {
			require.True(t, isCode(err, "42501"), "%s: %v", table, err)
		}
	}
	// Foreign keys don't see policies: they are led by the tenant instead.
	_, err := db.Exec(globex, "insert into registry.agent_capabilities (agent_id, kind, value) values ('ada', 'language', 'Go')")
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
	// Without a tenant the column has no default: there is no row of nobody's.
	_, err = db.Exec(t.Context(), "insert into registry.agents (id, name, model_family) values ('mallory', 'Mallory', 'x')")
	require.Error(t, err)
}

func TestEveryTenantTableIsForcedAndHasAPolicyPerCommand(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	for _, table := range tenantTables(t, db) {
		var enabled, forced, invoker bool
		var commands []string
		require.NoError(t, testkit.Owner(t, db).QueryRow(t.Context(), `
			select relrowsecurity, relforcerowsecurity,
			       array(select polcmd::text from pg_policy where polrelid = c.oid order by 1),
			       (select 'security_invoker=true' = any(reloptions) from pg_class where oid = 'registry.agent_overview'::regclass)
			from pg_class c where oid = $1::regclass`, table).Scan(&enabled, &forced, &commands, &invoker))
		require.True(t, enabled && forced, table)
		require.Equal(t, []string{"a", "d", "r", "w"}, commands, table)
		require.True(t, invoker)
	}
}

func TestAPointReadUsesTheIndexUnderThePolicies(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	_, err := db.Exec(ctx, `insert into registry.agents (id, name, model_family) select 'a' || g, 'n' || g, 'x' from generate_series(1, 5000) g`)
	require.NoError(t, err)
	_, err = testkit.Owner(t, db).Exec(t.Context(), "analyze registry.agents")
	require.NoError(t, err)
	rows, err := db.Query(ctx, "explain select * from registry.agents where id = 'a77'")
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(plan, func(l string) bool { return strings.Contains(l, "Index Cond") && strings.Contains(l, "tenant_id") }), plan)
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	owner := testkit.Owner(t, db).Config().ConnConfig
	sources, err := migrate.Check([]migrate.Source{{Name: "agentregistry", FS: agentregistry.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, c.CheckSchema(t.Context()))

	require.NoError(t, migrate.Down(t.Context(), owner, sources))
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "DB_MIGRATE")
	require.NoError(t, migrate.Up(t.Context(), owner, zap.NewNop(), sources))
	require.NoError(t, c.CheckSchema(t.Context()))
	register(t, as(t, "acme"), c, agent("ada"))
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	owner := testkit.Owner(t, db)
	exec := func(sql string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec("revoke select on registry.agent_load from onepool_app")
	err := c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "registry.agent_load")
	exec("grant select on registry.agent_load to onepool_app")
	exec("revoke insert on registry.performance_events from onepool_app")
	require.ErrorContains(t, c.CheckSchema(t.Context()), "registry.performance_events")
	exec("grant insert on registry.performance_events to onepool_app")
	require.NoError(t, c.CheckSchema(t.Context()))

	exec("update onepool.agentregistry_versions set is_applied = false where version_id = 1")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
	exec("update onepool.agentregistry_versions set is_applied = true where version_id = 1")
	exec("revoke usage on schema onepool from onepool_app")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
	exec("drop view registry.agent_overview")
	require.ErrorContains(t, c.CheckSchema(t.Context()), "registry.agent_overview")
	exec("revoke usage on schema registry from onepool_app")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)

	// What is no fault of the schema does not send anybody to the migrations.
	require.NoError(t, db.Close(t.Context()))
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
}

func TestModuleChecksTheSchemaAtStart(t *testing.T) {
	t.Parallel()
	var c *agentregistry.Client
	app := fxtest.New(t, fxdb.Module, agentregistry.Module, testkit.Swap(t), fx.Populate(&c))
	app.RequireStart()
	register(t, as(t, "acme"), c, agent("ada"))
	app.RequireStop()

	// The same module on a database that nobody migrated.
	url := testkit.DB(t).Pool().Config().ConnString()
	bare := fx.New(fx.NopLogger, fxdb.Module, agentregistry.Module, fx.Replace(fxdb.Config{URL: url}), fx.Invoke(func(*agentregistry.Client) {}))
	require.ErrorIs(t, bare.Start(t.Context()), modules.ErrSchema)
}
