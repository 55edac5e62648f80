package agentregistry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestUnknownAgents(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	before, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	for name, use := range map[string]func() error{
		"Get":               func() error { _, err := c.Get(ctx, "x"); return err },
		"RecordPerformance": func() error { _, err := c.RecordPerformance(ctx, "x", agentregistry.Metrics{}); return err },
		"AdjustLoad":        func() error { _, err := c.AdjustLoad(ctx, "x", 1, 1); return err },
		"Update":            func() error { return c.Update(ctx, "x", agentregistry.Patch{Name: ptr("y")}) },
		"AgentStats":        func() error { _, err := c.AgentStats(ctx, "x"); return err },
		"another tenant's": func() error {
			_, err := c.RecordPerformance(as(t, "globex"), "ada", agentregistry.Metrics{})
			return err
		},
	} {
		require.ErrorIs(t, use(), agentregistry.ErrAgentNotFound, name)
		require.ErrorIs(t, use(), modules.ErrNotFound, name)
	}
	found, err := c.Unregister(ctx, "x")
	require.NoError(t, err)
	require.False(t, found)

	after, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(before, after))
	var events int
	require.NoError(t, db.QueryRow(ctx, "select count(*) from registry.performance_events").Scan(&events))
	require.Zero(t, events, "something was written")
}
