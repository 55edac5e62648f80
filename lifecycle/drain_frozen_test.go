package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

// nobodyHolds is what a frozen server keeps open though no holder answers for it.
var nobodyHolds = []struct {
	name    string
	begin   func(t *testing.T, m *lifecycle.Monitor)
	timeout time.Duration
	held    bool // by others, so that the drain waits for its timeout
}{
	{name: "a statement that its caller gave up", timeout: time.Hour, begin: func(t *testing.T, m *lifecycle.Monitor) {
		conn := acquire(t, m, "impatient")
		defer conn.Release()
		ctx, cancel := context.WithTimeout(bounded(t), 50*time.Millisecond)
		defer cancel()
		_, err := conn.Exec(ctx, "select 1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}},
	{name: "a connection that is being opened", timeout: deadline, held: true, begin: func(t *testing.T, m *lifecycle.Monitor) {
		for range m.Pool().Stat().TotalConns() {
			t.Cleanup(acquire(t, m, "holder").Release)
		}
		failed := make(chan error, 2)
		go func() { _, err := m.Acquire(context.Background(), lifecycle.Request{Client: "late"}); failed <- err }()
		go func() { _, err := m.Pool().Acquire(context.Background()); failed <- err }()
		eventually(t, func() bool { return m.Pool().Stat().ConstructingConns() == 2 })
		t.Cleanup(func() {
			require.ErrorIs(t, receive(t, failed), lifecycle.ErrDraining)
			require.ErrorIs(t, receive(t, failed), lifecycle.ErrDraining)
		})
	}},
}

func drainWhatNobodyHolds(t *testing.T, s *server) {
	for _, c := range nobodyHolds {
		t.Run(c.name, func(t *testing.T) {
			db := s.database(t)
			m := newMonitor(t, db.URL(), func(c *lifecycle.Config) { c.Pool.MaxConns = 9 })
			require.NoError(t, m.Start(bounded(t)))
			s.Freeze(t)
			c.begin(t, m)
			drained := make(chan error, 1)
			began := time.Now()
			go func() { _, err := lifecycle.Drain(context.Background(), m, c.timeout); drained <- err }()
			err := receive(t, drained)
			t.Logf("drain took %s, of which it had to wait for %s if that is true: %t", time.Since(began).Round(time.Millisecond), deadline, c.held)
			require.Equal(t, c.held, err != nil, "%v", err)
			s.Thaw(t)
			db.WaitForBackends(t, 0)
		})
	}
}
