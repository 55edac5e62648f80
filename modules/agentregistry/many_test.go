package agentregistry_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/testkit"
)

// many adds agents a1 to a6000. Each agent can do the type common, each second agent knows Go,
// each hundredth COBOL. The agents without Go are odd, and of the agents with Go the least
// successful a50 alone. The figures repeat: the id breaks ties.
func many(t testing.TB, ctx context.Context, db *fxdb.DB) {
	t.Helper()
	clienttest.Exec(t, ctx, db, `
		with g as (select g, 'a' || g as id from generate_series(1, 6000) g),
		a as (insert into registry.agents (id, name, model_family, last_active_at)
			select id, id, 'x', now() - case when g % 100 = 0 then interval '1 minute' else interval '2 hours' end from g),
		p as (insert into registry.agent_performance (agent_id, success_rate) select id, (g * 7 % 50) / 50.0 from g),
		c as (insert into registry.agent_capabilities (agent_id, kind, value)
			select id, 'task_type', 'common' from g union all select id, 'language', 'Go' from g where g % 2 = 0
			union all select id, 'language', 'Ada' from g where g % 2 = 1 union all select id, 'specialization', 'COBOL' from g where g % 100 = 0
			union all select id, 'specialization', 'odd' from g where g % 2 = 1 or g = 50)
		insert into registry.agent_load (agent_id, utilization_percent, success_order) select id, g % 10 * 10, -(g * 7 % 50) / 50.0 from g`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze")
	require.NoError(t, err)
}

// Common and rare capabilities, and few and many active agents, take different ways to the same
// answer.
func TestEachWayThroughManyAgentsFindsTheSame(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	many(t, ctx, db)
	naive := func(where string, limit int) []string {
		rows, err := db.Query(ctx, fmt.Sprintf(`select o.id from registry.agent_overview o where %s
			order by o.success_rate desc, o.utilization_percent, o.id limit %d`, where, limit))
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return all
	}
	for _, f := range []struct {
		query agentregistry.Query
		where string
	}{
		{agentregistry.Query{}, "true"},
		{agentregistry.Query{TaskType: "common"}, "true"},
		{agentregistry.Query{TaskType: "common", Languages: []string{"Go"}, Limit: 7}, "'Go' = any(languages)"},
		{agentregistry.Query{Languages: []string{"Go", "Ada"}, Limit: 7}, "true"},
		{agentregistry.Query{Languages: []string{"Ada"}, Specializations: []string{"COBOL"}}, "false"},
		{agentregistry.Query{Languages: []string{"Go"}, Specializations: []string{"odd"}}, "o.id = 'a50'"}, // a walk gives up
		{agentregistry.Query{Languages: []string{"Ada"}, Specializations: []string{"odd"}}, "'Ada' = any(languages)"},
		{agentregistry.Query{TaskType: "common", Specializations: []string{"COBOL", "none"}}, "'COBOL' = any(specializations)"},
		{agentregistry.Query{Specializations: []string{"COBOL"}, MaxUtilization: ptr(0.0), MinSuccessRate: ptr(0.5)}, "'COBOL' = any(specializations) and utilization_percent <= 0 and success_rate >= 0.5"},
		{agentregistry.Query{TaskType: "common", MaxUtilization: ptr(20.0), MinSuccessRate: ptr(0.98), Limit: 1000}, "utilization_percent <= 20 and success_rate >= 0.98"},
		{agentregistry.Query{TaskType: "juggling"}, "false"},
	} {
		limit := f.query.Limit
		if limit == 0 {
			limit = 100
		}
		for i := range 7 { // from the sixth on, the server may take a generic plan
			got, err := c.FindByCapability(ctx, f.query)
			require.NoError(t, err)
			if i == 0 || i == 6 {
				require.Equal(t, append([]string{}, naive(f.where, limit)...), ids(got), "%+v", f.query)
			}
		}
	}
	plan := findPlan(t, ctx, db, agentregistry.Query{Languages: []string{"Go"}, Specializations: []string{"odd"}}) // 3000 agents have each
	require.Regexp(t, `agent_load_pkey .*loops=1\)`, plan, "the search reads the figures of a50 alone")
	require.NotRegexp(t, `agent_load_pkey .*loops=\d{2}`, plan)
	require.NotRegexp(t, `loops=\d{3}`, plan, "the first 50 agents of the walk show that few have both, and the sets of each show a50")
	for within, where := range map[time.Duration]string{time.Hour: "o.last_active_at > now() - interval '1 hour'", 3 * time.Hour: "true"} {
		got, err := c.Available(ctx, 50, within)
		require.NoError(t, err)
		require.Equal(t, naive(where+" and o.utilization_percent < 50", 100), ids(got), within)
	}
	scored, err := c.FindScored(ctx, agentregistry.Query{TaskType: "common"})
	require.NoError(t, err)
	require.Len(t, scored, 50)
	scored, err = c.FindScored(ctx, agentregistry.Query{TaskType: "common", Limit: 1000})
	require.NoError(t, err)
	require.Len(t, scored, 1000)
	require.True(t, slices.IsSortedFunc(scored, func(a, b agentregistry.Scored) int { return cmp.Compare(b.Score, a.Score) }))
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select agent_id from registry.agent_load order by success_order, utilization_percent, agent_id limit 10":          "agent_load_rank_idx",
		"select agent_id from registry.agent_capabilities where kind = 'specialization' and value = 'COBOL' limit 5001":    "agent_capabilities_value_idx",
		"select id from registry.agents where last_active_at < now() - interval '1 year' order by last_active_at, id desc": "agents_last_active_idx",
		"select id from registry.agents where last_active_at = now() and id > 'a' order by id limit 10":                    "agents_last_active_idx",
	})
}

// Batches go on behind the agents that stay, also if all have the same time.
func TestDeleteStaleGoesOnBehindAgentsThatStay(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	clienttest.Exec(t, ctx, db, `
		with g as (select g, 'a' || g as id from generate_series(1, 1700) g),
		a as (insert into registry.agents (id, name, model_family, last_active_at) select id, id, 'x', now() - interval '2 days' from g),
		p as (insert into registry.agent_performance (agent_id) select id from g)
		insert into registry.agent_load (agent_id, active_tasks) select id, case when g <= 1100 then 1 else 0 end from g`)
	for _, want := range []int64{600, 0} {
		n, err := c.DeleteStale(ctx, 24*time.Hour)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1100, s.TotalAgents)
}

// Beside small tenants the planner expects few agents of any tenant.
func TestASearchReadsTheFiguresOfAnAgentByTheKeyBesideSmallTenants(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	add := func(tenant string, agents int) {
		clienttest.Exec(t, as(t, tenant), db, fmt.Sprintf(`
			with a as (insert into registry.agents (id, name, model_family) select 'a' || g, g, 'x' from generate_series(1, %[1]d) g),
			c as (insert into registry.agent_capabilities (agent_id, kind, value) select 'a' || g, 'language', 'Go' from generate_series(1, %[1]d / 10) g)
			insert into registry.agent_load (agent_id, success_order) select 'a' || g, -g / 1000.0 from generate_series(1, %[1]d) g`, agents))
	}
	for i := range 40 {
		add(fmt.Sprint("small", i), 10)
	}
	add("acme", 600)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "vacuum analyze registry.agent_load, registry.agent_capabilities")
	require.NoError(t, err)
	plan := findPlan(t, as(t, "acme"), db, agentregistry.Query{Languages: []string{"Go"}})
	require.Regexp(t, `agent_load_pkey .*loops=60\)`, plan)
	require.NotRegexp(t, `agent_load_rank_idx .*loops=60\)`, plan)

	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, setting := range []string{"parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size", "min_parallel_index_scan_size"} {
			if _, err := tx.Exec(t.Context(), "set local "+setting+" = 0"); err != nil {
				return err
			}
		}
		for _, q := range []agentregistry.Query{{Languages: []string{"Go"}}, {TaskType: "common", Languages: []string{"Go"}}} {
			require.NotContains(t, findPlan(t, t.Context(), tx, q), "Gather", "a set that nobody needs would start workers")
		}
		return nil
	}))
}

// findPlan returns the plan of a search with the executed loops.
func findPlan(t testing.TB, ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, q agentregistry.Query) string {
	t.Helper()
	sql, args := q.FindSQL()
	rows, err := db.Query(ctx, "explain (analyze, costs off, timing off) "+sql, args)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}
