package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestNotesAreCountedPerTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var notes *Notes
	app := fxtest.New(t, Module, testkit.Swap(t), fx.Populate(&notes)) // swap
	app.RequireStart()
	defer app.RequireStop()

	for _, c := range []struct {
		tenant string
		want   int
	}{{"acme", 1}, {"acme", 2}, {"globex", 1}} {
		n, err := notes.Add(tenant.NewContext(t.Context(), tenant.Identity{Tenant: c.tenant}), "hello")
		require.NoError(t, err)
		require.Equal(t, c.want, n, c.tenant)
	}
	_, err := notes.Add(t.Context(), "whose?")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired)
}
