package agentregistry_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

var (
	as = clienttest.As
)

// newClient returns a registry on a database of this test's own.
func newClient(t testing.TB) (*agentregistry.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	db := testkit.DB(t, testkit.Migrations("agentregistry", agentregistry.Migrations()))
	c, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

func agent(id string, change ...func(*agentregistry.Agent)) agentregistry.Agent {
	a := agentregistry.Agent{ID: id, Name: "name of " + id, ModelFamily: agentregistry.ModelClaude35, MaxConcurrentTasks: 10}
	for _, fn := range change {
		fn(&a)
	}
	return a
}

func register(t testing.TB, ctx context.Context, c *agentregistry.Client, agents ...agentregistry.Agent) {
	t.Helper()
	for _, a := range agents {
		require.NoError(t, c.Register(ctx, a))
	}
}

func ids(agents []agentregistry.Agent) []string {
	out := []string{}
	for _, a := range agents {
		out = append(out, a.ID)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	use := func(c *agentregistry.Client, ctx context.Context) map[string]error {
		out := map[string]error{}
		out["Register"] = c.Register(ctx, agent("x"))
		_, out["Get"] = c.Get(ctx, "x")
		_, _, out["List"] = c.List(ctx, agentregistry.ListOptions{})
		_, out["FindByCapability"] = c.FindByCapability(ctx, agentregistry.Query{})
		_, out["FindScored"] = c.FindScored(ctx, agentregistry.Query{})
		_, out["FindPage"] = c.FindPage(ctx, agentregistry.Query{}, "")
		_, out["FindScoredPage"] = c.FindScoredPage(ctx, agentregistry.Query{}, "")
		_, out["PerformancePage"] = c.PerformancePage(ctx, "x", 0, "")
		_, out["Available"] = c.Available(ctx, 80, time.Hour)
		_, out["RecordPerformance"] = c.RecordPerformance(ctx, "x", agentregistry.Metrics{})
		_, out["AdjustLoad"] = c.AdjustLoad(ctx, "x", 1, 1)
		out["Update"] = c.Update(ctx, "x", agentregistry.Patch{})
		_, out["Stats"] = c.Stats(ctx)
		_, out["AgentStats"] = c.AgentStats(ctx, "x")
		_, out["DeleteStale"] = c.DeleteStale(ctx, time.Hour)
		_, out["Unregister"] = c.Unregister(ctx, "x")
		return out
	}
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := agentregistry.New(agentregistry.Params{
		DB: db.Named("agentregistry"), Config: agentregistry.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	_, err = agentregistry.New(agentregistry.Params{DB: db, Config: agentregistry.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	_, err = agentregistry.New(agentregistry.Params{})
	require.ErrorContains(t, err, "Params.DB")
}
