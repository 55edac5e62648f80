package agentregistry_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestRecordPerformanceMovesTheAverages(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-time.Hour) }))
	p, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{Success: true, QualityScore: 0.5, LatencyMS: 100})
	require.NoError(t, err)
	require.Equal(t, agentregistry.Performance{SuccessRate: 1, AverageQuality: 0.5, AverageLatencyMS: 100, TaskCount: 1}, p, "the first task's figures replace the prior")
	p, err = c.RecordPerformance(ctx, "ada", agentregistry.Metrics{QualityScore: 1, LatencyMS: 300, TaskType: ptr("testing"), TaskID: ptr("t1"), TokensUsed: ptr(7)})
	require.NoError(t, err)
	require.Equal(t, agentregistry.Performance{SuccessRate: 0.5, AverageQuality: 0.75, AverageLatencyMS: 200, TaskCount: 2}, p)
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, p, got.Performance)
	require.WithinDuration(t, time.Now(), got.LastActiveAt, time.Minute)

	for field, m := range map[string]agentregistry.Metrics{
		"quality_score": {QualityScore: 1.5}, "quality_score must be from 0 to 1": {QualityScore: math.NaN()}, "latency_ms": {LatencyMS: -1}, "tokens_used": {TokensUsed: ptr(1 << 31)}, "task_id": {TaskID: ptr("")}, "task_type": {TaskType: ptr(" ")},
	} {
		_, err := c.RecordPerformance(ctx, "ada", m)
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
}
