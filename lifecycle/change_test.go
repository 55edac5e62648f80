package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestADrainIsTold(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	told, asked := make(chan lifecycle.Health, 10), make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h })
	m.OnChange(func(lifecycle.Health) { asked <- m.Health(context.Background()) })
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)

	drained := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, time.Minute); drained <- err }()
	h := <-told
	require.False(t, h.Ready)
	require.Equal(t, lifecycle.Unhealthy, h.Status)
	require.Equal(t, lifecycle.ErrDraining.Error(), h.Error)
	require.Equal(t, 1, h.Active, "while work is in flight")
	require.Equal(t, lifecycle.ErrDraining.Error(), (<-asked).Error)
	conn.Release()
	require.NoError(t, <-drained)
	require.False(t, m.Health(t.Context()).Ready)
	require.Empty(t, told, "a drain is told of once")
	require.Equal(t, 1, logs.FilterMessage("pool draining").Len())
	require.Zero(t, logs.FilterMessage("pool status changed").Len(), "the line about the drain says it")
}

func TestADrainIsToldOfWhereTheServerWasAway(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	told := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h })
	require.NoError(t, m.Start(t.Context()))
	s.Kill(t)
	require.Eventually(t, func() bool { return !m.Health(t.Context()).Ready }, time.Minute, time.Millisecond)
	require.NotEqual(t, lifecycle.ErrDraining.Error(), (<-told).Error)
	_, _ = lifecycle.Drain(t.Context(), m, 0)
	require.Equal(t, lifecycle.ErrDraining.Error(), (<-told).Error)
}

// TestADrainIsTheLastChange has looks of every age under way when the drain begins.
func TestADrainIsTheLastChange(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	var mu sync.Mutex
	var told []lifecycle.Health
	m.OnChange(func(h lifecycle.Health) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, h)
	})
	require.NoError(t, m.Start(t.Context()))
	var looks sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		looks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.ForgetAnswers()
					m.Health(context.Background())
				}
			}
		})
	}
	_, _ = lifecycle.Drain(t.Context(), m, time.Minute)
	h := m.Health(t.Context())
	require.False(t, h.Ready)
	close(stop)
	looks.Wait()
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(told) > 0 && told[len(told)-1].Error == h.Error }, time.Minute, time.Millisecond)
	m.Health(t.Context())
	mu.Lock()
	defer mu.Unlock()
	for i, h := range told {
		require.Equal(t, i == len(told)-1, h.Error == lifecycle.ErrDraining.Error(), "%d of %d: %+v", i+1, len(told), h)
	}
}

func TestAWatcherThatBlocksHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	blocked, goOn := make(chan struct{}, 10), make(chan struct{})
	var order []lifecycle.Health
	m.OnChange(func(h lifecycle.Health) {
		order = append(order, h) // no two at a time
		blocked <- struct{}{}
		<-goOn
	})
	require.False(t, m.Health(t.Context()).Ready, "before the start")
	<-blocked
	require.NoError(t, m.Start(t.Context()))
	require.True(t, m.Health(t.Context()).Ready)
	began := time.Now()
	_, err := lifecycle.Drain(t.Context(), m, time.Minute)
	require.NoError(t, err)
	require.Less(t, time.Since(began), overhead)
	close(goOn)
	<-blocked
	<-blocked
	require.Len(t, order, 3)
	require.Equal(t, []bool{false, true, false}, []bool{order[0].Ready, order[1].Ready, order[2].Ready})
	require.Equal(t, lifecycle.ErrDraining.Error(), order[2].Error)
}
