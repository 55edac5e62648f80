package agentregistry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/testkit"
)

// For a limit that is a parameter, the planner of a generic plan expects a tenth of all rows.
func TestTheServerKeepsThePlansOfManyAgents(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := clienttest.OneConnection(t, "agentregistry", agentregistry.Migrations())
	c, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	ctx := as(t, "acme")
	many(t, ctx, db)
	_, next, err := c.List(ctx, agentregistry.ListOptions{Limit: 50})
	require.NoError(t, err)
	clienttest.KeepsPlans(t, db, map[string]func(int) error{
		"Get":  func(int) error { _, err := c.Get(ctx, "a77"); return err },
		"List": func(int) error { _, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 50}); return err },
		"List, next page": func(int) error {
			_, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 50, After: next})
			return err
		},
		"FindByCapability": func(int) error { _, err := c.FindByCapability(ctx, agentregistry.Query{Limit: 10}); return err },
		"FindScored":       func(int) error { _, err := c.FindScored(ctx, agentregistry.Query{}); return err },
		"FindPage":         func(int) error { _, err := c.FindPage(ctx, agentregistry.Query{Limit: 10}, ""); return err },
		"FindByCapability, a frequent type": func(int) error {
			_, err := c.FindByCapability(ctx, agentregistry.Query{TaskType: "common", Limit: 10})
			return err
		},
		"FindByCapability, all filters": func(int) error {
			_, err := c.FindByCapability(ctx, agentregistry.Query{
				TaskType: "common", Languages: []string{"Go"}, Specializations: []string{"COBOL"}, MaxUtilization: ptr(50.0), MinSuccessRate: ptr(0.9),
			})
			return err
		},
		"FindScored, two languages": func(int) error {
			_, err := c.FindScored(ctx, agentregistry.Query{Languages: []string{"Go", "Ada"}, Specializations: []string{"odd"}})
			return err
		},
		"FindScoredPage": func(int) error {
			_, err := c.FindScoredPage(ctx, agentregistry.Query{TaskType: "common", Limit: 10}, "")
			return err
		},
		"Available": func(int) error { _, err := c.Available(ctx, 80, time.Hour); return err },
		"Update of capabilities": func(i int) error {
			return c.Update(ctx, "a77", agentregistry.Patch{Capabilities: &agentregistry.Capabilities{Languages: []string{"Go", fmt.Sprint("l", i)}}})
		},
		"RecordPerformance": func(int) error { _, err := c.RecordPerformance(ctx, "a77", agentregistry.Metrics{}); return err },
	})
}

// A plan for an age that no agent has looks cheaper than a plan for any age.
func TestTheServerKeepsThePlanOfDeleteStale(t *testing.T) {
	t.Parallel()
	db := clienttest.OneConnection(t, "agentregistry", agentregistry.Migrations())
	c, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	ctx := as(t, "acme")
	clienttest.Exec(t, ctx, db, "insert into registry.agents (id, name, model_family) select g, g, 'x' from generate_series(1, 20000) g")
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "vacuum analyze registry.agents")
	require.NoError(t, err)
	clienttest.KeepsPlans(t, db, map[string]func(int) error{
		"DeleteStale of nothing": func(int) error { _, err := c.DeleteStale(ctx, 365*24*time.Hour); return err },
	})
}

// Each look-up of a row in a table of a million rows walks through an index.
func TestAnAgentIsReadWithOneLookUpInEachTable(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	ctx := as(t, "acme")
	for name, sql := range map[string]string{"Get": agentregistry.GetSQL, "List": agentregistry.ListSQL} {
		plan := testkit.Explain(ctx, t, db, strings.NewReplacer("@id", "'a77'", "@limit", "50").Replace(sql))
		for _, table := range []string{"agents", "agent_capabilities", "agent_performance", "agent_load"} {
			require.Equal(t, 1, strings.Count(plan.Text, " on registry."+table+" "), "%s of %s: %s", table, name, plan.Text)
		}
	}
}
