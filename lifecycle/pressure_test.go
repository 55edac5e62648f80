package lifecycle

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheVerdictIsOfTheLastSecond(t *testing.T) {
	t.Parallel()
	const limit = 20
	for _, c := range []struct {
		name    string
		samples [20]int // of connections held, one each tick
		want    Status
	}{
		{"idle", repeat(0, 20), Healthy},
		{"a burst of the whole pool", repeat(20, 15), Healthy},
		{"most of the pool, all the time", repeat(15, 20), Healthy},
		{"more than three quarters", repeat(16, 20), Degraded},
		{"nine tenths", repeat(18, 20), Degraded},
		{"more than nine tenths", repeat(19, 20), Unhealthy},
		{"the whole pool", repeat(20, 20), Unhealthy},
	} {
		var p pressure
		for range 20 {
			p.sample(limit) // more than a second ago
		}
		for _, held := range c.samples {
			p.sample(held)
		}
		require.Equal(t, c.want, p.current(0, limit), c.name)
	}
}

func repeat(held, times int) (samples [20]int) {
	for i := range times {
		samples[i] = held
	}
	return samples
}

func TestLongWaitsOfTheLastTenSecondsCount(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	for _, c := range []struct {
		name     string
		wait     time.Duration
		waits    int
		acquires int64
		want     Status
	}{
		{"shorter than half", timeout/2 - 1, 100, 100, Healthy},
		{"half, one in a hundred", timeout / 2, 1, 100, Healthy},
		{"half, more than one in a hundred", timeout / 2, 1, 99, Degraded},
		{"nine tenths, one in a hundred", timeout * 9 / 10, 1, 100, Healthy},
		{"nine tenths, more than one in a hundred", timeout * 9 / 10, 1, 99, Unhealthy},
	} {
		var p pressure
		const earlier = 1000
		p.waited(timeout, timeout)
		for range 10 {
			p.mark(earlier) // one each second
		}
		for range c.waits {
			p.waited(c.wait, timeout)
		}
		require.Equal(t, c.want, p.current(earlier+c.acquires, 1), c.name)
		for range 10 {
			p.mark(earlier + c.acquires)
		}
		require.Equal(t, Healthy, p.current(earlier+c.acquires+1, 1), "%s: ten seconds later", c.name)
	}
}

// TestBurstsDoNotTurnTheStatus: each burst fills the pool for more than a second.
func TestBurstsDoNotTurnTheStatus(t *testing.T) {
	t.Parallel()
	const limit = 20
	synctest.Test(t, func(t *testing.T) {
		var p pressure
		second := func(held int) Status {
			for range len(p.used) {
				p.sample(held)
			}
			<-time.After(time.Second)
			return p.status(0, limit)
		}
		require.Equal(t, Healthy, second(0))
		changes, last := 0, Healthy
		for range 25 {
			for _, held := range []int{limit, 0} {
				if s := second(held); s != last {
					changes, last = changes+1, s
				}
			}
		}
		require.Equal(t, Unhealthy, last, "a worse status counts at once")
		require.Equal(t, 1, changes)
		for range recoverAfter/time.Second - 2 { // the last burst was a second ago
			require.Equal(t, Unhealthy, second(16))
		}
		require.Equal(t, Degraded, second(16))
		require.Equal(t, Unhealthy, second(limit), "at once")
	})
}
