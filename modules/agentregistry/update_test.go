package agentregistry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestUpdateChangesWhatThePatchNames(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("bob"), agent("ada", func(a *agentregistry.Agent) {
		a.Capabilities = agentregistry.Capabilities{TaskTypes: []string{"research"}, Languages: []string{"Go", "Rust"}}
		a.Load.ActiveTasks = 5
	}))
	require.NoError(t, c.Update(ctx, "ada", agentregistry.Patch{MaxConcurrentTasks: ptr(20)}))
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, "name of ada", got.Name)
	require.Equal(t, []string{"Go", "Rust"}, got.Capabilities.Languages)
	require.Equal(t, 20, got.MaxConcurrentTasks)
	require.InDelta(t, 25, got.Load.UtilizationPercent, 1e-9, "utilization follows the capacity")

	require.NoError(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("Ada"), Capabilities: &agentregistry.Capabilities{Languages: []string{"Go", "Python", "Go"}}}))
	got, err = c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, "Ada", got.Name)
	require.Equal(t, agentregistry.Capabilities{TaskTypes: []string{}, Languages: []string{"Go", "Python"}, Specializations: []string{}}, got.Capabilities)

	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("name of bob")}), agentregistry.ErrAgentExists)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{MaxConcurrentTasks: ptr(0)}), modules.ErrInvalid)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("")}), modules.ErrInvalid)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Capabilities: &agentregistry.Capabilities{Languages: []string{""}}}), modules.ErrInvalid)
}
