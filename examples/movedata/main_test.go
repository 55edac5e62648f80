package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
	"github.com/agentagency/onepool/testkit/agencytest"
)

// newMover moves the sample's rows in batches of 7, as the owner, to the clients' database.
func newMover(t *testing.T) (*mover, agencytest.Clients) {
	t.Helper()
	size.SkipShort(t)
	clients := agencytest.New(t)
	testkit.Fixture(t, clients.DB, files, "sql/old_tables.sql", "sql/owners.sql", "sql/sample.sql")
	db, err := open(t.Context(), testkit.OwnerPool(t, clients.DB).Config().ConnString())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return &mover{db: db, tenant: "default-tenant", batch: 7}, clients
}

// counts are the rows of the new tables that two tenants have.
func counts(t *testing.T, m *mover) map[string]int {
	t.Helper()
	var each []string
	for _, s := range steps {
		each = append(each, fmt.Sprintf("select '%s', count(*) from %[1]s", s.new))
	}
	all := map[string]int{}
	for _, name := range []string{"acme", "default-tenant"} {
		rows, err := m.db.Query(testkit.As(t, name), strings.Join(each, " union all "))
		require.NoError(t, err)
		var table string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error {
			all[name+" "+table] = n
			return nil
		})
		require.NoError(t, err)
	}
	return all
}

func (m *mover) mustMove(t *testing.T) {
	t.Helper()
	require.NoError(t, m.move(t.Context()))
	for _, s := range steps {
		r := m.reports[s.old]
		require.Equal(t, r.Old, r.Moved+r.There+r.Orphans+len(r.Refused)+r.Dependents, s.old)
		require.Positive(t, r.Old, "%s: the sample has rows", s.old)
	}
}

func TestADryRunWritesNothingAndASecondMoveMovesNothingTwice(t *testing.T) {
	t.Parallel()
	m, clients := newMover(t)
	empty := counts(t, m)
	m.dryRun = true
	m.mustMove(t)
	dry := m.reports
	require.Equal(t, empty, counts(t, m), "a dry run")

	m.dryRun = false
	m.mustMove(t)
	require.Equal(t, dry, m.reports)
	var out strings.Builder
	require.NoError(t, m.print(&out))
	require.Regexp(t, `43 +40 +0 +1 +0 +2 agent_performance_events to registry.performance_events`, out.String())
	require.Regexp(t, "refused: web_rate_limits [Ee]xample.com: SQLSTATE 23505", out.String())
	agents := m.reports["agent_profiles"]
	require.Equal(t, []int{21, 20}, []int{agents.Old, agents.Moved})
	require.Len(t, agents.Refused, 1, "the name is taken")
	for _, reason := range agents.Refused {
		require.Equal(t, `SQLSTATE 23505, constraint "agents_name_key", column ""`, reason)
	}
	require.Equal(t, 1, m.reports["agent_capabilities"].Dependents, "of the refused agent")
	events := m.reports["agent_performance_events"]
	require.Equal(t, []int{43, 40, 1, 2}, []int{events.Old, events.Moved, events.Orphans, events.Dependents})
	require.Len(t, m.reports["web_traversal_nodes"].Refused, 1, "a traversal has each URL once")
	require.Len(t, m.reports["web_rate_limits"].Refused, 1, "a site has a single name")
	moved := counts(t, m)
	require.Equal(t, []int{2, 18, 2, 18, 2, 2, 0, 20}, []int{
		moved["acme registry.agents"], moved["default-tenant registry.agents"], moved["acme knowledge.queries"], moved["default-tenant knowledge.queries"],
		moved["acme knowledge.search_results"], moved["acme orchestrator.tasks"], moved["acme web.contents"], moved["default-tenant web.contents"],
	})
	testkit.RequireRows(testkit.As(t, "default-tenant"), t, m.db, []int{19}, "select count(*)::int from web.traversal_nodes where parent_id is not null")

	m.mustMove(t)
	require.Equal(t, moved, counts(t, m), "a second move")
	for _, s := range steps {
		require.Zero(t, m.reports[s.old].Moved, s.old)
	}
	_, err := testkit.OwnerPool(t, clients.DB).Exec(t.Context(), "insert into task_queue (task_id, task_type, description) values ('late', 'general', 'd')")
	require.NoError(t, err)
	m.mustMove(t)
	require.Equal(t, 1, m.reports["task_queue"].Moved, "a row that came late")
}

func TestAnInterruptedMoveGoesOn(t *testing.T) {
	t.Parallel()
	m, _ := newMover(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("somebody pulled the plug")
	m.progress = func(table string, moved int) {
		if table == "task_queue" && moved > 7 {
			cancel(stopped)
		}
	}
	require.ErrorIs(t, m.move(ctx), context.Canceled)
	var half int
	require.NoError(t, m.db.QueryRow(testkit.As(t, "default-tenant"), "select count(*) from orchestrator.tasks").Scan(&half))
	require.Equal(t, 7, half, "a batch is all or nothing")

	m.progress = nil
	m.mustMove(t)
	tasks := m.reports["task_queue"]
	require.Equal(t, []int{20, 11, 9}, []int{tasks.Old, tasks.Moved, tasks.There})
	require.Equal(t, 20, m.reports["agent_profiles"].There)
	moved := counts(t, m)
	for _, s := range steps {
		if r := m.reports[s.old]; s.of != "" && !s.follows {
			require.Equal(t, r.Moved+r.There, moved["acme "+s.new]+moved["default-tenant "+s.new], s.new)
		}
	}
}

// The page's SQL gives queries the tenant of the agent that asked.
func TestTheSQLOfThePageFillsTheOwners(t *testing.T) {
	t.Parallel()
	m, clients := newMover(t)
	owner := testkit.OwnerPool(t, clients.DB)
	page, err := os.ReadFile("../../docs/moving-data.md")
	require.NoError(t, err)
	_, sql, _ := strings.Cut(string(page), "```sql\n")
	sql, _, found := strings.Cut(sql, "```")
	require.True(t, found)
	_, err = owner.Exec(t.Context(), "delete from moving.owners")
	require.NoError(t, err)
	for range 2 {
		_, err = owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	m.mustMove(t)
	testkit.RequireRows(testkit.As(t, "acme"), t, m.db, []string{"text 1", "text 2"}, "select query_text from knowledge.queries order by 1")
}

func TestTheClientsReadTheMovedRowsInTheOldOrder(t *testing.T) {
	t.Parallel()
	m, c := newMover(t)
	m.mustMove(t)
	ctx := testkit.As(t, "default-tenant")
	claimed, err := c.Tasks.Claim(ctx, 100, "worker")
	require.NoError(t, err)
	var order []string
	for _, task := range claimed {
		order = append(order, task.ID)
	}
	require.Equal(t, []string{"task 20", "task 18", "task 16", "task 14", "task 12", "task 10", "task 8", "task 6"}, order)
	require.NoError(t, c.Tasks.Complete(ctx, "task 1"), "the old worker's task")

	found, err := c.Agents.FindByCapability(ctx, agentregistry.Query{Languages: []string{"Go"}})
	require.NoError(t, err)
	require.Len(t, found, 18)
	require.InDelta(t, 0, found[0].Load.UtilizationPercent, 0, "agent 20 has the prior, and no load")
	require.InDelta(t, 0.8, found[0].Performance.SuccessRate, 0)
	require.InDelta(t, 10, found[1].Load.UtilizationPercent, 0)
	require.InDelta(t, 0.6, found[1].Performance.SuccessRate, 0)

	queries, err := c.Knowledge.QueriesPage(ctx, knowledge.QueryFilter{Limit: 100})
	require.NoError(t, err)
	require.Len(t, queries.Items, 18)
	results, err := c.Knowledge.SearchResultsPage(ctx, queries.Items[0].ID, 10, "")
	require.NoError(t, err)
	require.Len(t, results.Items, 1)
	nodes, err := c.Web.NodesPage(ctx, "walk", webnavigator.NodeFilter{Limit: 100})
	require.NoError(t, err)
	require.Len(t, nodes.Items, 20)
	content, err := c.Web.Content(ctx, *nodes.Items[0].ContentID)
	require.NoError(t, err)
	require.Equal(t, "c", content.Text)
	requests, err := c.Verification.PendingPage(ctx, 100, "")
	require.NoError(t, err)
	require.Len(t, requests.Items, 20)
	result, err := c.Verification.Result(ctx, requests.Items[0].ID)
	require.NoError(t, err)
	require.InDelta(t, 0.25, *result.EvidenceQuality, 1e-9)
	var titles []string
	for _, e := range result.Supporting {
		titles = append(titles, *e.Title)
	}
	require.Equal(t, []string{"title 1", "title 2", "title 3"}, titles)
}

// figures are all figures that the clients keep beside the rows.
func figures(t *testing.T, c agencytest.Clients, name string) []any {
	t.Helper()
	ctx := testkit.As(t, name)
	keep := func(all []any, figure any, err error) []any {
		require.NoError(t, err)
		return append(all, figure)
	}
	agents, err := c.Agents.Stats(ctx)
	all := keep(nil, agents, err)
	found, err := c.Agents.FindScored(ctx, agentregistry.Query{})
	all = keep(all, found, err)
	for _, agent := range found {
		stats, err := c.Agents.AgentStats(ctx, agent.ID)
		all = keep(all, stats, err)
	}
	tasks, err := c.Tasks.Stats(ctx)
	all = keep(all, tasks, err)
	evidence, err := c.Verification.EvidenceQuality(ctx)
	all = keep(all, evidence, err)
	cached, err := c.Knowledge.CacheStats(ctx)
	all = keep(all, cached, err)
	walk, err := c.Web.TraversalStats(ctx, "walk")
	if errors.Is(err, modules.ErrNotFound) {
		return all
	}
	return keep(all, walk, err)
}

// The clients' own recount derives the figures from the rows alone.
func TestTheFiguresAreRightAfterAMove(t *testing.T) {
	t.Parallel()
	m, c := newMover(t)
	none := figures(t, c, "default-tenant")
	m.mustMove(t)
	tasks, err := c.Tasks.Stats(testkit.As(t, "default-tenant"))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"queued": 8, "dequeued": 1, "completed": 9}, tasks.ByStatus)
	require.InDelta(t, 2, tasks.AvgProcessing.Seconds(), 0.001)
	for _, name := range []string{"acme", "default-tenant"} {
		kept := figures(t, c, name)
		for _, schema := range []string{"registry", "knowledge", "web", "verification", "orchestrator"} {
			_, err := m.db.Exec(testkit.As(t, name), "select "+schema+".recount()")
			require.NoError(t, err)
		}
		require.Equal(t, figures(t, c, name), kept)
	}
	require.NoError(t, m.back(t.Context()))
	require.Equal(t, none, figures(t, c, "default-tenant"), "after the way back")
}

func TestTheWayBackLeavesTheNewTablesEmptyAndTheOldTablesWhole(t *testing.T) {
	t.Parallel()
	m, c := newMover(t)
	empty := counts(t, m)
	m.mustMove(t)
	first := m.reports
	require.NoError(t, m.back(t.Context()))
	after := counts(t, m)
	for table, n := range empty { // an operator's rows stay
		if !strings.HasSuffix(table, "provider_health") && !strings.HasSuffix(table, "rate_limits") {
			require.Equal(t, n, after[table], table)
		}
	}
	m.mustMove(t)
	require.Equal(t, first["verification_evidence"], m.reports["verification_evidence"])
	require.Equal(t, first["agent_performance_history"], m.reports["agent_performance_history"])

	// The new clients write: the way back must lose nothing.
	moved := counts(t, m)
	ctx := testkit.As(t, "default-tenant")
	require.NoError(t, c.Tasks.Enqueue(ctx, orchestrator.Task{ID: "new", Type: orchestrator.General}))
	err := m.back(t.Context())
	require.ErrorIs(t, err, errWritten)
	require.ErrorContains(t, err, "orchestrator.tasks")
	moved["default-tenant orchestrator.tasks"]++
	require.Equal(t, moved, counts(t, m), "all or nothing, over all tenants")
}

func TestTheProgramGoesTheWholeWay(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestADryRunWritesNothingAndASecondMoveMovesNothingTwice")
	var out strings.Builder
	require.NoError(t, show(t.Context(), &out))
	require.Contains(t, out.String(), "agent_profiles to registry.agents")
	require.Contains(t, out.String(), "refused: agent_profiles")
	require.Equal(t, 4, strings.Count(out.String(), "task_queue to orchestrator.tasks"))
}

// A role that bypasses the policies would see and write every tenant's rows.
func TestTheProgramRefusesARoleThatBypassesThePolicies(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server, err := devdb.Start(t.Context(), devdb.Shared())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	_, err = open(t.Context(), server.URL())
	require.ErrorContains(t, err, "bypasses row-level security")
}
