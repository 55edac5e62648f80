package agentregistry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestFindScoredPutsTheBestFitFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	got, err := c.FindScored(ctx, agentregistry.Query{Languages: []string{"Go", "Rust", "Go"}, Specializations: []string{"Security audit"}})
	require.NoError(t, err)
	require.Len(t, got, 2, "any of the languages and any of the specializations")
	require.Equal(t, "a", got[0].ID)
	require.InDelta(t, 0.4+0.2+0.25*0.9+0.15*0.5, got[0].Score, 1e-9)
	require.Equal(t, "2 of 2 languages, 1 of 1 specializations, success rate 0.90, utilization 50%", got[0].Reason)
	require.Equal(t, "d", got[1].ID)
	require.InDelta(t, 0.4*0.5+0.2+0.25*0.7, got[1].Score, 1e-9)

	got, err = c.FindScored(ctx, agentregistry.Query{Limit: 1})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.InDelta(t, 0.4+0.2+0.25*0.9+0.15*0.9, got[0].Score, 1e-9, "what is not wanted counts as met")
	require.Equal(t, "success rate 0.90, utilization 10%", got[0].Reason, "nor is it a reason")
	got, err = c.FindScored(ctx, agentregistry.Query{Specializations: []string{"Security audit", "Juggling"}, MaxUtilization: ptr(100.0), MinSuccessRate: ptr(0.0)})
	require.NoError(t, err)
	require.Contains(t, got[0].Reason, "1 of 2 specializations, success rate")
	_, err = c.FindScored(ctx, agentregistry.Query{Limit: -1})
	require.ErrorIs(t, err, modules.ErrInvalid)
}
