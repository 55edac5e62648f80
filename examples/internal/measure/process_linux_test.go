package measure

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThisProcess(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	before := CPU(pid)
	require.Eventually(t, func() bool { return CPU(pid) > before }, time.Minute, time.Microsecond, "this test itself uses some")
	require.GreaterOrEqual(t, FamilyCPU(pid), before)
	private, resident := PrivateMemory([]int{pid}), ResidentMemory(pid)
	require.Greater(t, private, 1.0)
	require.Greater(t, resident, private/2)

	for _, unknown := range []float64{CPU(-1), FamilyCPU(-1), PrivateMemory([]int{pid, -1}), ResidentMemory(-1)} {
		require.True(t, math.IsNaN(unknown))
	}
}
