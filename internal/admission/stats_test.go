package admission_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
)

func TestADryRunCountsAndLetsPass(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 4, TenantMaxFraction: 0.5, DryRun: true})
	a, b := ctl.Client("a"), ctl.Client("b")
	require.NoError(t, a.SetLimits(admission.Limits{Max: 3}))
	for range 4 { // two more than the tenant may have
		require.True(t, a.TryAcquire("acme"))
	}
	require.NoError(t, b.Acquire(t.Context(), "globex")) // one more than there are
	s := ctl.Stats()
	assert.EqualValues(t, 2, s.Clients[0].WouldWait)
	assert.EqualValues(t, 1, s.Clients[1].WouldWait)
	assert.EqualValues(t, 2, s.Tenants[0].WouldWait)
	assert.Equal(t, 4, s.Clients[0].Held)
	assert.Equal(t, -1, s.Free)
	assert.Zero(t, s.Clients[0].TryFailed+s.Clients[0].Waited)
	b.Release("globex", 0)
	for range 4 {
		a.Release("acme", 0)
	}
	assert.Equal(t, 4, ctl.Stats().Free)
}

func TestStatsReportWhoWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, statsReportWhoWaited)
}

func statsReportWhoWaited(t *testing.T) {
	ctl := newController(t, admission.Config{Capacity: 1})
	a, b := ctl.Client("a"), ctl.Client("b")
	require.NoError(t, a.Acquire(t.Context(), "acme"))
	require.False(t, b.TryAcquire("globex"))
	done := make(chan error)
	go func() { done <- b.Acquire(context.Background(), "globex") }()
	synctest.Wait()
	<-time.After(7 * time.Millisecond)
	s := ctl.Stats()
	assert.Equal(t, admission.Usage{Held: 1, Granted: 1}, s.Clients[0].Usage)
	assert.Equal(t, admission.Usage{Waiting: 1, TryFailed: 1}, s.Clients[1].Usage)
	assert.Equal(t, admission.Usage{Waiting: 1, TryFailed: 1}, s.Tenants[1].Usage)
	a.Release("acme", 3*time.Second)
	require.NoError(t, <-done)

	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- a.Acquire(ctx, "acme") }()
	synctest.Wait()
	<-time.After(7 * time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	b.Release("globex", time.Second)
	require.True(t, b.TryAcquire("globex"))
	b.Release("globex", 2*time.Second)

	s = ctl.Stats()
	require.Len(t, s.Clients, 2)
	require.Len(t, s.Tenants, 2)
	for i, names := range [][2]string{{"a", "acme"}, {"b", "globex"}} {
		c, tn := s.Clients[i], s.Tenants[i]
		assert.Equal(t, names[0], c.Name)
		assert.Equal(t, names[1], tn.Name)
		assert.EqualValues(t, 1+i, c.Granted)
		assert.EqualValues(t, 1, c.Waited)
		assert.EqualValues(t, 1-i, c.Abandoned)
		assert.Equal(t, 7*time.Millisecond, c.WaitTotal)
		assert.Equal(t, 7*time.Millisecond, c.WaitMax)
		assert.Equal(t, 3*time.Second, c.HoldTotal)
		assert.Equal(t, []time.Duration{3 * time.Second, 2 * time.Second}[i], c.HoldMax)
		assert.Equal(t, c.Usage, tn.Usage)
	}
}

func TestIdleTenantsAreForgotten(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 4, TenantMaxFraction: 0.25})
	c := ctl.Client("a")
	require.True(t, c.TryAcquire("held"))
	for i := range 5000 {
		name := fmt.Sprint("tenant", i)
		require.True(t, c.TryAcquire(name))
		c.Release(name, 0)
	}
	s := ctl.Stats()
	assert.LessOrEqual(t, len(s.Tenants), 1025)
	assert.Equal(t, "held", s.Tenants[0].Name)
	assert.False(t, c.TryAcquire("held"), "it still holds all it may")
	for i := range 5000 { // refused ones too
		ctl.Client("b").TryAcquire(fmt.Sprint("other", i))
	}
	assert.LessOrEqual(t, len(ctl.Stats().Tenants), 1024+4, "those that hold one are known too")
	c.Release("held", 0)
}

// TestAForgottenTenantKeepsItsLimit: clients remember the tenant they asked for last.
func TestAForgottenTenantKeepsItsLimit(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 4, TenantMaxFraction: 0.25})
	a, b := ctl.Client("a"), ctl.Client("b")
	use := func(c *admission.Client, tenant string) {
		require.True(t, c.TryAcquire(tenant))
		c.Release(tenant, 0)
	}
	use(a, "acme")
	for i := range 2000 {
		use(b, fmt.Sprint("other", i))
	}
	require.True(t, a.TryAcquire("acme"))
	assert.False(t, b.TryAcquire("acme"))
	a.Release("acme", 0)
	use(b, "acme")
}
