package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAHoldThatEndsInADrainIsTimedToItsEnd(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestADrainIsReported")
	turns, err := admission.New(admission.Config{Capacity: 5})
	require.NoError(t, err)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Admission = turns })
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "late", Permits: turns.Client("late")})
	require.NoError(t, err)
	acquired := time.Now()
	drained := beginDrain(t, m)
	began := time.Now()
	eventually(t, func() bool { return m.Clock().After(began) }, "nobody keeps the clock")
	conn.Release()
	require.NoError(t, receive(t, drained))
	for _, c := range turns.Stats().Clients {
		if c.Name == "late" {
			require.GreaterOrEqual(t, c.HoldTotal, began.Sub(acquired))
			return
		}
	}
	t.Fatal("the client is not in the figures")
}
