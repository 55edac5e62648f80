package agentregistry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestAgentStatsWeighTasksByCount(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	got, err := c.AgentStats(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, agentregistry.AgentStats{ByTaskType: map[string]agentregistry.TaskStats{}}, got)
	for _, m := range []agentregistry.Metrics{
		{Success: true, QualityScore: 1, LatencyMS: 10, TaskType: ptr("research")},
		{Success: true, QualityScore: 1, LatencyMS: 20, TaskType: ptr("research")},
		{Success: true, QualityScore: 1, LatencyMS: 30, TaskType: ptr("research")},
		{Success: false, QualityScore: 0, LatencyMS: 100},
	} {
		_, err := c.RecordPerformance(ctx, "ada", m)
		require.NoError(t, err)
	}
	got, err = c.AgentStats(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, agentregistry.AgentStats{
		Total: agentregistry.TaskStats{Count: 4, SuccessRate: 0.75, AvgLatencyMS: 40, AvgQuality: 0.75},
		ByTaskType: map[string]agentregistry.TaskStats{
			"research": {Count: 3, SuccessRate: 1, AvgLatencyMS: 20, AvgQuality: 1},
			"":         {Count: 1, AvgLatencyMS: 100},
		},
	}, got)
}

// A tenant names the types of tasks: each new name made the answer longer.
func TestAgentStatsHaveTheTypesWithTheMostTasks(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	_, err := db.Exec(ctx, `insert into registry.agent_task_stats (agent_id, task_type, tasks, successes, quality, latency_ms)
		select 'ada', 'type ' || g, g, 0, 0, 0 from generate_series(1, $1::int) g`, modules.MaxPage+5)
	require.NoError(t, err)
	got, err := c.AgentStats(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, modules.MaxPage, len(got.ByTaskType)) //nolint:testifylint // Len would print them all
	require.NotContains(t, got.ByTaskType, "type 5")
	require.Contains(t, got.ByTaskType, "type 6")
	require.EqualValues(t, (modules.MaxPage+5)*(modules.MaxPage+6)/2, got.Total.Count, "the total is of all types")
}
