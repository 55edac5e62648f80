package fxdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

// TestFaultOfTheServer breaks a server under load. The usual size has one fault of each
// kind: the connections end, the server goes and comes back, the server stands still.
func TestFaultOfTheServer(t *testing.T) {
	size.SkipUnlessSoak(t, "TestFaultOfTheNetwork")
	t.Parallel()
	s := pgfault.StartRestartable(t)
	l := startLoad(t, s)
	for _, f := range []struct {
		name         string
		usual, times int
		fault        func(t *testing.T)
	}{
		{"a backend is killed with SIGKILL and the server restarts itself", 0, 3, func(t *testing.T) { s.KillBackend(t, faultApp) }},
		{"all backends are terminated", 1, 3, func(t *testing.T) { s.TerminateBackends(t, faultApp) }},
		{"immediate restart", 1, 3, func(t *testing.T) { s.Restart(t, "immediate", 0) }},
		{"fast restart", 0, 3, func(t *testing.T) { s.Restart(t, "fast", 0) }},
		{"fast restart, away for 2 s", 0, 1, func(t *testing.T) { s.Restart(t, "fast", 2*time.Second) }},
	} {
		if times := size.Of(f.usual, f.usual, f.times); times > 0 {
			t.Run(f.name, func(t *testing.T) { l.during(t, f.name, times, func() { f.fault(t) }) })
		}
	}
	t.Run("frozen", func(t *testing.T) {
		before := l.failures()
		l.during(t, "frozen", 1, func() {
			s.Freeze(t)
			<-time.After(size.Of(0, 300*time.Millisecond, 2*time.Second)) // the fault's length
			s.Thaw(t)
		})
		require.Equal(t, before, l.failures(), "nothing was lost, it only took longer")
	})
	l.finish(t)
}
