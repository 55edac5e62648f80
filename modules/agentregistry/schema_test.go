package agentregistry_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/testkit"
)

var schema = clienttest.Schema{
	Source: "agentregistry", Name: "registry", View: "registry.agent_overview", Tables: 7, Migrations: agentregistry.Migrations(),
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *agentregistry.Client, db *fxdb.DB) {
	t.Helper()
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go"} }))
	_, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{})
	require.NoError(t, err)
	clienttest.Exec(t, ctx, db, "select registry.fold_agent_counts()")
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	fill(t, as(t, "acme"), c, db)
	schema.ShowsNothing(t, db)
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c, db)
	register(t, globex, c, agent("eve"))
	forged := map[string]string{
		"registry.agents":             "(tenant_id, id, name, model_family) values ('acme', 'mallory', 'Mallory', 'x')",
		"registry.agent_capabilities": "(tenant_id, agent_id, kind, value) values ('acme', 'ada', 'language', 'Go')",
		"registry.agent_performance":  "(tenant_id, agent_id) values ('acme', 'ada')",
		"registry.performance_events": "(tenant_id, agent_id, success, quality_score, latency_ms) values ('acme', 'ada', true, 1, 1)",
		"registry.agent_load":         "(tenant_id, agent_id) values ('acme', 'ada')",
		"registry.agent_task_stats":   "(tenant_id, agent_id, task_type, tasks, successes, quality, latency_ms) values ('acme', 'ada', 'x', 1, 1, 1, 1)",
		"registry.agent_counts":       "(tenant_id, agents, active, utilization, success, quality) values ('acme', 1, 1, 1, 1, 1)",
	}
	schema.RefusesForged(t, db, forged, "insert into registry.agents (id, name, model_family) values ('mallory', 'Mallory', 'x')")
	clienttest.RefersToItsOwn(t, db, "insert into registry.agent_capabilities (agent_id, kind, value) values ('ada', 'language', 'Go')")
}

func TestTheSchemaIsForced(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	schema.IsForced(t, db)
}

func TestAPointReadUsesTheIndexUnderThePolicies(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	_, err := db.Exec(ctx, `insert into registry.agents (id, name, model_family) select 'a' || g, 'n' || g, 'x' from generate_series(1, 5000) g`)
	require.NoError(t, err)
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "analyze registry.agents")
	require.NoError(t, err)
	clienttest.UsesIndexes(t, ctx, db, map[string]string{"select * from registry.agents where id = 'a77'": "Index Cond: ((tenant_id = "})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.GoesDownAndUp(t, db, c.CheckSchema)
	fill(t, as(t, "acme"), c, db)
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.SaysWhatIsMissing(t, db, c.CheckSchema)
}

func TestModuleChecksTheSchemaAtStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
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
