package agentregistry_test

import (
	"testing"
	"time"

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
	for must, patch := range map[string]agentregistry.Patch{
		"max_concurrent_tasks must be from 1 to 2147483647": {MaxConcurrentTasks: ptr(1 << 40)},
		"last_active_at must not be the zero time":          {LastActiveAt: &time.Time{}},
		"capabilities.languages must be text":               {Capabilities: &agentregistry.Capabilities{Languages: []string{"\x00"}}},
	} {
		err := c.Update(ctx, "ada", patch)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}

	// Nothing of a patch that fails stays.
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{
		Name: ptr("name of bob"), MaxConcurrentTasks: ptr(7), Capabilities: &agentregistry.Capabilities{},
	}), agentregistry.ErrAgentExists)
	after, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, got, after)

	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	require.NoError(t, c.Update(ctx, "ada", agentregistry.Patch{LastActiveAt: &at, Capabilities: &agentregistry.Capabilities{}}))
	got, err = c.Get(ctx, "ada")
	require.NoError(t, err)
	require.True(t, at.Equal(got.LastActiveAt))
	require.Empty(t, got.Capabilities.Languages)
}
