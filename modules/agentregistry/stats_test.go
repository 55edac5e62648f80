package agentregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestStats(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, agentregistry.Stats{}, s, "an empty registry has no figures and no invented time")
	team(t, ctx, c)
	s, err = c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 5, s.TotalAgents)
	require.EqualValues(t, 4, s.ActiveAgents)
	require.EqualValues(t, 1, s.IdleAgents)
	require.InDelta(t, (50+10+0+100+10)/5.0, s.AverageUtilization, 1e-9)
	require.InDelta(t, (0.9+0.9+0.5+0.7+0.9)/5, s.AverageSuccessRate, 1e-9)
	require.InDelta(t, 0.5, s.AverageQuality, 1e-9)
	require.WithinDuration(t, time.Now(), s.LastUpdated, time.Minute)
}
