package agentregistry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestAdjustLoadStopsAtZeroAndAtAHundredPercent(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.MaxConcurrentTasks = 4 }))
	for _, step := range []struct {
		active, queued int
		want           agentregistry.Load
	}{
		{1, 3, agentregistry.Load{ActiveTasks: 1, QueuedTasks: 3, UtilizationPercent: 25}},
		{5, -1, agentregistry.Load{ActiveTasks: 6, QueuedTasks: 2, UtilizationPercent: 100}},
		{-100, -100, agentregistry.Load{}},
	} {
		got, err := c.AdjustLoad(ctx, "ada", step.active, step.queued)
		require.NoError(t, err)
		require.Equal(t, step.want, got)
	}
	_, err := c.AdjustLoad(ctx, "ada", 1<<31-1, 0)
	require.NoError(t, err)
	_, err = c.AdjustLoad(ctx, "ada", 1, 0)
	require.ErrorIs(t, err, modules.ErrInvalid, "an overflow")
	require.ErrorContains(t, err, "active_delta and queued_delta must leave at most 2147483647 tasks")
	_, err = c.AdjustLoad(ctx, "ada", 1<<40, 0)
	require.ErrorIs(t, err, modules.ErrInvalid)
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, 1<<31-1, got.Load.ActiveTasks, "what Get reads is what AdjustLoad wrote")
}
