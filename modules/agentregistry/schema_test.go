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

// tenantTables are the schema's tables with a tenant column, by the catalog.
func tenantTables(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	rows, err := testkit.Owner(t, db).Query(t.Context(), `
		select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
		where c.relnamespace = 'registry'::regnamespace and c.relkind = 'r' order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, tables, 5)
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
	// A forged tenant is refused on the way in and on the way over.
	_, err = db.Exec(as(t, "globex"), "insert into registry.agents (tenant_id, id, name, model_family) values ('acme', 'eve', 'Eve', 'x')")
	require.True(t, isCode(err, "42501"), err)
	_, err = db.Exec(t.Context(), "insert into registry.agents (tenant_id, id, name, model_family) values ('acme', 'eve', 'Eve', 'x')")
	require.True(t, isCode(err, "42501"), err)
	_, err = db.Exec(acme, "update registry.agents set tenant_id = 'globex'")
	require.True(t, isCode(err, "42501"), err)
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

	exec("update onepool.agentregistry_versions set is_applied = false where version_id = 1")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
	exec("update onepool.agentregistry_versions set is_applied = true where version_id = 1")
	exec("revoke usage on schema onepool from onepool_app")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
	exec("drop view registry.agent_overview")
	require.ErrorContains(t, c.CheckSchema(t.Context()), "registry.agent_overview")
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
