package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/admission"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAHoldThatEndsInADrainIsTimedToItsEnd(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	turns, err := admission.New(admission.Config{Capacity: 5})
	require.NoError(t, err)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Admission = turns })
	require.NoError(t, m.Start(t.Context()))
	share := turns.Client("late")
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "late", Share: share})
	require.NoError(t, err)
	drained := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, time.Minute); drained <- err }()
	require.Eventually(t, m.Draining, time.Minute, time.Millisecond)
	_, err = conn.Exec(t.Context(), "select pg_sleep(0.6)")
	require.NoError(t, err)
	conn.Release()
	require.NoError(t, <-drained)
	for _, c := range turns.Stats().Clients {
		if c.Name == "late" {
			require.GreaterOrEqual(t, c.HoldTotal, 400*time.Millisecond)
			return
		}
	}
	t.Fatal("the client is not in the figures")
}
