package fxdb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
)

func TestTheTimeWithoutReadinessHasNoBreak(t *testing.T) {
	away, ready := lifecycle.Health{Error: "away"}, lifecycle.Health{Ready: true}
	busy := lifecycle.Health{Ready: true, Status: lifecycle.Unhealthy}
	for name, c := range map[string]struct {
		reports []lifecycle.Health // one each half of the time
		then    lifecycle.Health   // what a look finds
		ends    bool
	}{
		"away":                   {[]lifecycle.Health{away, away, away}, away, true},
		"away and back":          {[]lifecycle.Health{away, ready, away, ready}, away, false},
		"busy":                   {[]lifecycle.Health{busy, busy, busy}, busy, false},
		"back before it was due": {[]lifecycle.Health{away, away, away}, ready, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := 0
				w := &unhealthyWatch{after: time.Minute, log: zap.NewNop(), leaving: func() bool { return false },
					health: func(context.Context) lifecycle.Health { return c.then }, shutdown: func() error { ended++; return nil }}
				for _, h := range c.reports {
					w.changed(h)
					time.Sleep(w.after/2 + time.Second) //nolint:forbidigo // the clock of synctest
				}
				synctest.Wait()
				require.Equal(t, c.ends, ended == 1)
				w.stop()
			})
		})
	}
}
