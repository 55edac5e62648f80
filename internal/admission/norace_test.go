//go:build !race

package admission

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const raced = false

// The race detector allocates, so that the test exists without the detector only.
func TestNothingIsAllocated(t *testing.T) {
	ctl, err := New(Config{Capacity: 8, TenantMaxFraction: 0.5})
	require.NoError(t, err)
	defer ctl.Close()
	c := ctl.Client("a")
	for _, tenant := range []string{"", "acme"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if !c.TryAcquire(tenant) {
				t.Error("refused")
			}
			c.Release(tenant, 0)
		}))
	}
}
