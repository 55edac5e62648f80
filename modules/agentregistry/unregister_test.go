package agentregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestUnregisterTakesAllThatBelongsToAnAgent(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go"} }))
	_, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{})
	require.NoError(t, err)
	rows := func(table string) (n int) {
		clienttest.Scan(t, ctx, db, "select count(*) from "+table, &n)
		return n
	}
	tables := schema.Of(t, db)
	for _, table := range tables {
		require.Positive(t, rows(table), table)
	}
	found, err := c.Unregister(ctx, "ada")
	require.NoError(t, err)
	require.True(t, found)
	_, err = c.Get(ctx, "ada")
	require.ErrorIs(t, err, agentregistry.ErrAgentNotFound)
	for _, table := range tables {
		if table == "registry.agent_counts" {
			continue // of the changes, whose sums are no agents
		}
		require.Zero(t, rows(table), table)
	}
	requireStats(t, ctx, c, db)
}

func TestDeleteStaleSparesTheBusy(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	old := func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-2 * time.Hour) }
	register(t, ctx, c, agent("fresh"), agent("idle", old),
		agent("active", old, func(a *agentregistry.Agent) { a.Load.ActiveTasks = 1 }),
		agent("queued", old, func(a *agentregistry.Agent) { a.Load.QueuedTasks = 1 }))
	register(t, as(t, "globex"), c, agent("idle", old))

	n, err := c.DeleteStale(ctx, 365*24*time.Hour)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.DeleteStale(ctx, time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	left, _, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"fresh", "active", "queued"}, ids(left))
	_, err = c.Get(as(t, "globex"), "idle")
	require.NoError(t, err, "another tenant's agent went too")
	for _, threshold := range []time.Duration{0, -time.Second} {
		_, err := c.DeleteStale(ctx, threshold)
		require.ErrorIs(t, err, modules.ErrInvalid)
	}
}
