package fxdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
)

// The fault tests under load are not parallel: they have the machine to themselves.

func TestFaultOfTheServer(t *testing.T) {
	noLeaks(t)
	s := pgfault.StartRestartable(t)
	l := startLoad(t, s)
	for _, f := range []struct {
		name  string
		times int
		fault func(t *testing.T)
	}{
		{"a backend is killed with SIGKILL and the server restarts itself", 3, func(t *testing.T) { s.KillBackend(t, faultApp) }},
		{"all backends are terminated", 3, func(t *testing.T) { s.TerminateBackends(t, faultApp) }},
		{"immediate restart", 3, func(t *testing.T) { s.Restart(t, "immediate", 0) }},
		{"fast restart", 3, func(t *testing.T) { s.Restart(t, "fast", 0) }},
		{"fast restart, away for 2 s", 1, func(t *testing.T) { s.Restart(t, "fast", 2*time.Second) }},
	} {
		t.Run(f.name, func(t *testing.T) { l.during(t, f.name, f.times, func() { f.fault(t) }) })
	}
	t.Run("frozen for 2 s", func(t *testing.T) {
		before := l.failures()
		l.during(t, "frozen for 2 s", 1, func() {
			s.Freeze(t)
			<-time.After(2 * time.Second)
			s.Thaw(t)
		})
		require.Equal(t, before, l.failures(), "nothing was lost, it only took longer")
	})
	l.finish(t)
}
