package admission

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ticks(a *Controller) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ticking
}

// TestTheHeadroomGoesWhenTheOthersDo has a waiter that nobody's release will help.
func TestTheHeadroomGoesWhenTheOthersDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctl, err := New(Config{Capacity: 8})
		require.NoError(t, err)
		defer ctl.Close()
		rare, busy := ctl.Client("rare"), ctl.Client("busy")
		require.True(t, rare.TryAcquire(""))
		<-time.After(time.Hour) // it may hold one as long as it likes
		rare.Release("", 0)
		began := time.Now()
		for range 7 {
			require.True(t, busy.TryAcquire(""))
		}
		require.False(t, busy.TryAcquire(""))
		require.NoError(t, busy.Acquire(context.Background(), ""))
		assert.GreaterOrEqual(t, time.Since(began), 400*time.Millisecond)
		assert.LessOrEqual(t, time.Since(began), 500*time.Millisecond)

		for range 8 {
			busy.Release("", 0)
		}
		<-time.After(400 * time.Millisecond)
		assert.True(t, ticks(ctl))
		<-time.After(200 * time.Millisecond)
		assert.False(t, ticks(ctl), "nobody is active")
		for range 8 {
			assert.True(t, rare.TryAcquire(""), "the other one has gone")
		}
		rare.Release("", 0)
		assert.True(t, ticks(ctl))
	})
}

// TestARefusalIsAUse: a client that only tries is active too.
func TestARefusalIsAUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctl, err := New(Config{Capacity: 8})
		require.NoError(t, err)
		defer ctl.Close()
		busy, other := ctl.Client("busy"), ctl.Client("other")
		for range 8 {
			require.True(t, busy.TryAcquire(""))
		}
		for range 10 {
			require.False(t, other.TryAcquire(""))
			<-time.After(200 * time.Millisecond)
		}
		busy.Release("", 0)
		require.False(t, busy.TryAcquire(""), "it is kept for the other")
		require.True(t, other.TryAcquire(""))
	})
}

// TestCloseEndsTheTimer, and nothing starts it again.
func TestCloseEndsTheTimer(t *testing.T) {
	t.Parallel()
	ctl, err := New(Config{Capacity: 2})
	require.NoError(t, err)
	c := ctl.Client("a")
	require.True(t, c.TryAcquire(""))
	require.True(t, c.TryAcquire(""))
	c.Release("", 0)
	require.True(t, ticks(ctl))
	ctl.Close()
	c.Release("", 0)
	assert.False(t, ctl.timer.Stop(), "it is not running")

	ctl, err = New(Config{Capacity: 2})
	require.NoError(t, err)
	c = ctl.Client("a")
	require.True(t, c.TryAcquire(""))
	ctl.Close()
	c.Release("", 0)
	assert.Nil(t, ctl.timer)
}
