package agentregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/agentregistry"
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

func TestHealthOfAPoolThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := (&agentregistry.Client{}).Health(t.Context())
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, fxdb.ErrNotStarted)

	var c *agentregistry.Client
	app := fx.New(fx.NopLogger, fxdb.Module, agentregistry.Module, fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"}), fx.Populate(&c))
	require.NoError(t, app.Err())
	h = c.Health(t.Context())
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, fxdb.ErrNotStarted)
}
