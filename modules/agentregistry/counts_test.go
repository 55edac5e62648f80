package agentregistry_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/testkit"
)

// requireStats fails unless Stats are the figures of the agents themselves.
func requireStats(t testing.TB, ctx context.Context, c *agentregistry.Client, db *fxdb.DB) {
	t.Helper()
	var want agentregistry.Stats
	clienttest.Scan(t, ctx, db, `select count(*), count(*) filter (where active_tasks > 0), count(*) filter (where active_tasks = 0),
		coalesce(avg(utilization_percent), 0), coalesce(avg(success_rate), 0), coalesce(avg(average_quality), 0) from registry.agent_overview`,
		&want.TotalAgents, &want.ActiveAgents, &want.IdleAgents, &want.AverageUtilization, &want.AverageSuccessRate, &want.AverageQuality)
	got, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{want.TotalAgents, want.ActiveAgents, want.IdleAgents}, []int64{got.TotalAgents, got.ActiveAgents, got.IdleAgents})
	require.InDelta(t, want.AverageUtilization, got.AverageUtilization, 1e-9)
	require.InDelta(t, want.AverageSuccessRate, got.AverageSuccessRate, 1e-9)
	require.InDelta(t, want.AverageQuality, got.AverageQuality, 1e-9)
}

func TestStatsStayExactUnderConcurrentWrites(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	const n = 60
	register(t, as(t, "globex"), c, agent("theirs"))
	clienttest.Together(t, n, func(i int) error {
		id := fmt.Sprint("a", i)
		if err := c.Register(ctx, agent(id, func(a *agentregistry.Agent) { a.Load.ActiveTasks = i % 3 })); err != nil {
			return err
		}
		if _, err := c.AdjustLoad(ctx, id, i%2, 1); err != nil {
			return err
		}
		for range 3 {
			if _, err := c.RecordPerformance(ctx, id, agentregistry.Metrics{Success: i%4 > 0, QualityScore: float64(i) / n, LatencyMS: 1}); err != nil {
				return err
			}
		}
		if err := c.Update(ctx, id, agentregistry.Patch{MaxConcurrentTasks: ptr(1 + i)}); err != nil {
			return err
		}
		if i%10 == 0 {
			if _, err := c.Unregister(ctx, id); err != nil {
				return err
			}
		}
		_, err := db.Exec(ctx, "select registry.fold_agent_counts()")
		return err
	})
	requireStats(t, ctx, c, db)
	clienttest.Exec(t, ctx, db, "select registry.fold_agent_counts()")
	var rows int
	clienttest.Scan(t, ctx, db, "select count(*) from registry.agent_counts", &rows)
	require.Equal(t, 1, rows, "a fold leaves a single row")
	requireStats(t, ctx, c, db)

	clienttest.Exec(t, ctx, db, "update registry.agent_counts set agents = 77")
	clienttest.Recount(t, db, "registry", "acme")
	requireStats(t, ctx, c, db)
	requireStats(t, as(t, "globex"), c, db)
}

// A transaction that stays open keeps no writer of the tenant waiting: a writer waits for the
// same agent only.
func TestALongTransactionStopsNoWriterOfOtherAgents(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx, cancel := context.WithTimeout(as(t, "acme"), time.Minute)
	defer cancel()
	register(t, ctx, c, agent("ada"), agent("eve"))
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"update registry.agent_load set active_tasks = 5 where agent_id = 'ada'", "select registry.fold_agent_counts()",
			"update registry.agent_performance set success_rate = 0.1 where agent_id = 'ada'",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		outside := as(t, "acme")
		register(t, outside, c, agent("bob"))
		_, err := c.RecordPerformance(outside, "eve", agentregistry.Metrics{})
		require.NoError(t, err)
		_, err = c.AdjustLoad(outside, "eve", 1, 0)
		require.NoError(t, err)
		_, err = db.Exec(outside, "select registry.fold_agent_counts()")
		require.NoError(t, err)
		requireStats(t, outside, c, db)
		return nil
	}))
	requireStats(t, ctx, c, db)
}

// Agents of the first version get the figures, the order of a search and the sums of the events.
func TestTheMigrationCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const first = "migrations/00001_registry.sql"
	raw, err := fs.ReadFile(agentregistry.Migrations(), first)
	require.NoError(t, err)
	db := testkit.DB(t, testkit.Migrations("agentregistry", fstest.MapFS{first: {Data: raw}}))
	ctx := as(t, "acme")
	clienttest.Exec(t, ctx, db, `
		with a as (insert into registry.agents (id, name, model_family) select 'a' || g, g::text, 'x' from generate_series(1, 9) g returning id),
		p as (insert into registry.agent_performance (agent_id, success_rate) select id, length(id) / 10.0 + right(id, 1)::int / 20.0 from a)
		insert into registry.agent_load (agent_id, active_tasks, utilization_percent) select id, right(id, 1)::int % 3, right(id, 1)::int from a`)
	clienttest.Exec(t, ctx, db, `insert into registry.performance_events (agent_id, success, quality_score, latency_ms, task_type)
		select 'a1', g % 2 = 0, 0.5, 10, nullif('t' || g % 2, 't1') from generate_series(1, 10) g`)

	sources, err := migrate.Check([]migrate.Source{{Name: "agentregistry", FS: agentregistry.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, migrate.Up(t.Context(), testkit.OwnerPool(t, db).Config().ConnConfig, zap.NewNop(), sources))
	c, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	requireStats(t, ctx, c, db)
	found, err := c.FindByCapability(ctx, agentregistry.Query{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []string{"a9", "a8"}, ids(found))
	s, err := c.AgentStats(ctx, "a1")
	require.NoError(t, err)
	require.Equal(t, agentregistry.TaskStats{Count: 10, SuccessRate: 0.5, AvgLatencyMS: 10, AvgQuality: 0.5}, s.Total)
	require.Equal(t, map[string]agentregistry.TaskStats{
		"t0": {Count: 5, SuccessRate: 1, AvgLatencyMS: 10, AvgQuality: 0.5}, "": {Count: 5, AvgLatencyMS: 10, AvgQuality: 0.5},
	}, s.ByTaskType)
	schema.IsForced(t, db)
}
