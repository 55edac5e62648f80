package agentregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

func TestHealthNeverFails(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	h := c.Health(t.Context())
	require.True(t, h.Healthy)
	require.NoError(t, h.Err)
	require.Positive(t, h.Latency)
	require.Less(t, h.Latency, time.Minute)
	require.Positive(t, h.Pool.Total)
	require.NoError(t, db.Close(t.Context()))
	h = c.Health(t.Context())
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, fxdb.ErrDraining)
}
