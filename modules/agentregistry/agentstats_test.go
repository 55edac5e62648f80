package agentregistry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

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
