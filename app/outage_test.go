package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// handClock is a clock that a test sets.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time                         { return c.now }
func (c *handClock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

func TestTheLogSaysHowManyWarningsWereLeftOut(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	clock := &handClock{time.Now()}
	o := newOutageLog(zap.New(core, zap.WithClock(clock)))
	for range 100 {
		o.warn("request failed")
	}
	require.Equal(t, outageLines, logs.Len())
	clock.now = clock.now.Add(2 * outageTick)
	o.warn("request failed")
	require.Equal(t, outageLines+1, logs.Len())
	require.EqualValues(t, 100-outageLines, logs.All()[outageLines].ContextMap()["left_out"])
}
