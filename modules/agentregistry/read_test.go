package agentregistry_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestFoundAgentsArePagedInTheOrderOfTheSearch(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for i := range 9 {
		register(t, ctx, c, agent(fmt.Sprint("a", i), func(a *agentregistry.Agent) {
			a.Performance = agentregistry.Performance{SuccessRate: float64(i%3) / 3, TaskCount: 1}
			a.Load.ActiveTasks = i % 2
			a.Capabilities.Languages = []string{"Go", fmt.Sprint("language ", i%2)}[:1+i%2]
		}))
	}
	register(t, as(t, "globex"), c, agent("of globex"))
	q := agentregistry.Query{Languages: []string{"Go", "language 1"}}

	want, err := c.FindByCapability(ctx, q)
	require.NoError(t, err)
	require.Equal(t, []string{"a2", "a8", "a5", "a4", "a1", "a7", "a0", "a6", "a3"}, ids(want))
	got := clienttest.Pages(t, 9, func(limit int, after string) (modules.Page[agentregistry.Agent], error) {
		q.Limit = limit
		return c.FindPage(ctx, q, after)
	})
	require.Equal(t, want, got)

	q.Limit = 0
	scored, err := c.FindScored(ctx, q)
	require.NoError(t, err)
	paged := clienttest.Pages(t, 9, func(limit int, after string) (modules.Page[agentregistry.Scored], error) {
		q.Limit = limit
		return c.FindScoredPage(ctx, q, after)
	})
	require.Equal(t, scored, paged)

	for name, find := range map[string]func(q agentregistry.Query, after string) error{
		"FindPage":       func(q agentregistry.Query, after string) error { _, err := c.FindPage(ctx, q, after); return err },
		"FindScoredPage": func(q agentregistry.Query, after string) error { _, err := c.FindScoredPage(ctx, q, after); return err },
	} {
		require.ErrorContains(t, find(agentregistry.Query{Limit: 1001}, ""), "limit must be from 1 to 1000", name)
		require.ErrorContains(t, find(agentregistry.Query{}, "a1"), "after must be the next", name)
		require.ErrorContains(t, find(agentregistry.Query{MaxUtilization: ptr(101.0)}, ""), "max_utilization must", name)
	}
}

func TestRecordedPerformanceIsReadTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"), agent("idle"))
	for i := range 2 {
		_, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{LatencyMS: int64(i)})
		require.NoError(t, err)
	}
	want := agentregistry.Metrics{Success: true, QualityScore: 0.5, LatencyMS: 7, TokensUsed: ptr(3), TaskType: ptr("research"), TaskID: ptr("t1")}
	_, err := c.RecordPerformance(ctx, "ada", want)
	require.NoError(t, err)
	got := clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[agentregistry.StoredMetrics], error) {
		return c.PerformancePage(ctx, "ada", limit, after)
	})
	require.Equal(t, want, got[0].Metrics)
	require.Len(t, got[0].ID, 36)
	require.Equal(t, []int64{1, 0}, []int64{got[1].LatencyMS, got[2].LatencyMS})

	none, err := c.PerformancePage(ctx, "idle", 0, "")
	require.NoError(t, err)
	require.Empty(t, none.Items)
	for _, id := range []string{"ada", "unknown"} {
		_, err = c.PerformancePage(as(t, "globex"), id, 0, "")
		require.ErrorIs(t, err, agentregistry.ErrAgentNotFound)
	}
}
