package admission_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
)

func TestBadSettingsAreNamed(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 4})
	a, b := ctl.Client("a"), ctl.Client("b")
	require.NoError(t, b.SetLimits(admission.Limits{Reserve: 2}))
	config := func(cfg admission.Config) error { _, err := admission.New(cfg); return err }
	for _, tt := range []struct {
		err           error
		client, field string
	}{
		{config(admission.Config{}), "", "Capacity"},
		{config(admission.Config{Capacity: -1}), "", "Capacity"},
		{config(admission.Config{Capacity: 1, TenantMaxFraction: -0.1}), "", "TenantMaxFraction"},
		{config(admission.Config{Capacity: 1, TenantMaxFraction: 1.1}), "", "TenantMaxFraction"},
		{config(admission.Config{Capacity: 1, TenantMaxFraction: math.NaN()}), "", "TenantMaxFraction"},
		{a.SetLimits(admission.Limits{Max: -1}), "a", "Max"},
		{a.SetLimits(admission.Limits{Reserve: -1}), "a", "Reserve"},
		{a.SetLimits(admission.Limits{Weight: -1}), "a", "Weight"},
		{a.SetLimits(admission.Limits{Weight: admission.MaxWeight + 1}), "a", "Weight"},
		{a.SetLimits(admission.Limits{Max: 1, Reserve: 2}), "a", "Max"},
		{a.SetLimits(admission.Limits{Reserve: 2}), "a", "Reserve"}, // 2 + 2 of 4 leave none
		{b.SetLimits(admission.Limits{Reserve: 4}), "b", "Reserve"},
		{ctl.SetCapacity(0), "", "Capacity"},
		{ctl.SetCapacity(2), "", "Capacity"}, // all of it reserved
		{ctl.SetTenantMaxFraction(2), "", "TenantMaxFraction"},
	} {
		var e *admission.InvalidError
		require.ErrorAs(t, tt.err, &e)
		assert.Equal(t, [2]string{tt.client, tt.field}, [2]string{e.Client, e.Field}, tt.err)
		require.ErrorContains(t, tt.err, tt.field)
	}
	s := ctl.Stats()
	assert.Equal(t, 4, s.Capacity, "a refused change changes nothing")
	assert.Equal(t, admission.Limits{}, s.Clients[0].Limits)
	assert.Equal(t, admission.Limits{Reserve: 2}, s.Clients[1].Limits)

	require.NoError(t, a.SetLimits(admission.Limits{Max: 9, Reserve: 1, Weight: admission.MaxWeight}))
	require.NoError(t, newController(t, admission.Config{Capacity: 1}).Client("a").SetLimits(admission.Limits{Max: 1}))
}

func TestTenantShareIsRoundedDownButNotToNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		share    float64
		capacity int
		want     int
	}{{0.5, 20, 10}, {0.5, 5, 2}, {0.5, 1, 1}, {0.01, 20, 1}, {1, 20, 20}, {0.29, 100, 29}, {0.3, 10, 3}} {
		ctl := newController(t, admission.Config{Capacity: tt.capacity, TenantMaxFraction: tt.share})
		assert.Equal(t, tt.want, ctl.Stats().TenantMax, tt)
		got := 0
		for i := range tt.capacity { // over all clients
			if ctl.Client(fmt.Sprint(i % 3)).TryAcquire("acme") {
				got++
			}
		}
		assert.Equal(t, tt.want, got, tt)
		assert.Equal(t, tt.want < tt.capacity, ctl.Client("x").TryAcquire("globex"), "others go on")
	}
	ctl := newController(t, admission.Config{Capacity: 3, TenantMaxFraction: 0.1})
	for range 3 {
		assert.True(t, ctl.Client("a").TryAcquire(""), "work without a tenant is not limited by it")
	}
}

func TestAReserveThatOverflowsTheSumIsRefused(t *testing.T) {
	t.Parallel()
	ctl, err := admission.New(admission.Config{Capacity: 8})
	require.NoError(t, err)
	defer ctl.Close()
	require.NoError(t, ctl.Client("small").SetLimits(admission.Limits{Reserve: 1}))
	greedy := ctl.Client("greedy")
	var invalid *admission.InvalidError
	require.ErrorAs(t, greedy.SetLimits(admission.Limits{Reserve: math.MaxInt}), &invalid)
	require.Equal(t, "Reserve", invalid.Field)
	require.Equal(t, "greedy", invalid.Client)
	require.Zero(t, greedy.Limits())
	require.True(t, ctl.Client("other").TryAcquire(""), "nothing was reserved by it")
	ctl.Client("other").Release("", 0)
}
