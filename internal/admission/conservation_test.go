package admission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
)

func TestAClientWhoseTenantIsAtItsLimitKeepsNothingFromOthers(t *testing.T) {
	t.Parallel()
	ctl, err := admission.New(admission.Config{Capacity: 8, TenantMaxFraction: 0.25})
	require.NoError(t, err)
	defer ctl.Close()
	holder, capped, x := ctl.Client("holder"), ctl.Client("capped"), ctl.Client("x")
	for range 2 {
		require.True(t, holder.TryAcquire("acme"))
	}
	waiting := make(chan error, 1)
	go func() { waiting <- capped.Acquire(patient(t), "acme") }()
	waitFor(t, ctl, 1)
	for i := range 6 {
		require.True(t, x.TryAcquire(""), "permit %d of the 6 that the tenant can't have", i+1)
	}
	holder.Release("acme", 0)
	require.NoError(t, <-waiting)
	capped.Release("acme", 0)
	holder.Release("acme", 0)
	for range 6 {
		x.Release("", 0)
	}
}
