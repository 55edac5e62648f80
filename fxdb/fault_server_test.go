package fxdb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/pgfault"
)

// The fault tests are not parallel: each has the machine to itself.

func TestFaultABackendIsKilled(t *testing.T) {
	noLeaks(t)
	s := pgfault.Start(t)
	l := startLoad(t, s, nil)
	l.during(t, "a backend killed with SIGKILL, the server restarts itself", 3, func() { s.KillBackend(t, faultApp) })
}

func TestFaultAllBackendsAreTerminated(t *testing.T) {
	noLeaks(t)
	s := pgfault.Start(t)
	l := startLoad(t, s, nil)
	l.during(t, "pg_terminate_backend of all connections", 3, func() { s.TerminateBackends(t, faultApp) })
}

func TestFaultTheServerIsRestarted(t *testing.T) {
	for _, c := range []struct {
		mode  string
		away  time.Duration
		times int
	}{
		{"immediate", 0, 3}, {"fast", 0, 3}, {"fast", 2 * time.Second, 1},
	} {
		name := fmt.Sprintf("%s restart, away for %v", c.mode, c.away)
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s := pgfault.StartRestartable(t)
			l := startLoad(t, s, nil)
			l.during(t, name, c.times, func() { s.Restart(t, c.mode, c.away) })
		})
	}
}

func TestFaultTheServerFreezes(t *testing.T) {
	noLeaks(t)
	s := pgfault.Start(t)
	l := startLoad(t, s, nil)
	l.during(t, "server frozen for 2 s", 1, func() {
		s.Freeze(t)
		<-time.After(2 * time.Second)
		s.Thaw(t)
	})
	require.Empty(t, l.failed, "nothing was lost, it only took longer")
}
