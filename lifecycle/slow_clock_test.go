package lifecycle

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A started monitor's clock knows that a statement is fast, and costs less than the
// real one. In a drain the clock may have stood still before somebody keeps it.
func TestASlowStatementOfADrainIsLogged(t *testing.T) {
	t.Parallel()
	for _, state := range []int32{stateReady, stateDraining} {
		synctest.Test(t, func(t *testing.T) {
			const threshold = slowByTick
			m := &Monitor{cfg: Config{SlowQuery: threshold}}
			m.state.Store(state)
			m.clock.Store(time.Now().UnixNano())
			<-time.After(2 * threshold) // of a clock that nobody keeps
			defer m.keepClock()()
			synctest.Wait()

			began := m.statementBegins()
			_, slow := m.isSlow(began)
			require.False(t, slow)
			<-time.After(threshold - clockTick)
			synctest.Wait()
			_, slow = m.isSlow(began)
			require.False(t, slow)
			<-time.After(clockTick)
			synctest.Wait()
			took, slow := m.isSlow(began)
			require.True(t, slow)
			require.Equal(t, threshold, took)
		})
	}
}

func TestWithoutAThresholdNothingIsSlow(t *testing.T) {
	t.Parallel()
	for _, threshold := range []time.Duration{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			m := &Monitor{cfg: Config{SlowQuery: threshold}}
			m.state.Store(stateReady)
			began := m.statementBegins()
			<-time.After(time.Hour)
			_, slow := m.isSlow(began)
			require.False(t, slow, "threshold %v", threshold)
		})
	}
}

func TestADrainKeepsTheTimeThatItPromises(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, cancelGrace+closeGrace, 100*time.Millisecond, "all that a drain waits for beyond its deadline")
}
