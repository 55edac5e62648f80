package agentregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestAvailable(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	register(t, ctx, c, agent("old", func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-48 * time.Hour) }))
	got, err := c.Available(ctx, 80, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "e", "a", "c"}, ids(got))
	for _, bad := range []func() error{
		func() error { _, err := c.Available(ctx, 101, time.Hour); return err },
		func() error { _, err := c.Available(ctx, 80, 0); return err },
	} {
		require.ErrorIs(t, bad(), modules.ErrInvalid)
	}
}
