package lifecycle_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestADrainIsReported(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, newDatabase(t).URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	changes, asked := make(chan lifecycle.Health, 10), make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	m.OnChange(func(lifecycle.Health) { asked <- m.Health(context.Background()) })
	require.NoError(t, m.Start(bounded(t)))
	conn := acquire(t, m, "holder")

	drained := beginDrain(t, m)
	h := receive(t, changes)
	require.False(t, h.Ready)
	require.Equal(t, lifecycle.Unhealthy, h.Status)
	require.Equal(t, lifecycle.ErrDraining.Error(), h.Error)
	require.Equal(t, 1, h.Active, "while work is in flight")
	require.Equal(t, lifecycle.ErrDraining.Error(), receive(t, asked).Error)
	conn.Release()
	require.NoError(t, receive(t, drained))
	require.False(t, m.Health(bounded(t)).Ready)
	require.Empty(t, changes, "a drain is reported once")
	require.Equal(t, 1, logs.FilterMessage("pool draining").Len())
	require.Zero(t, logs.FilterMessageSnippet("pool status").Len()+logs.FilterMessageSnippet("its server").Len(), "the line about the drain says it")
}

func TestAnOutageIsLoggedAsAnErrorAndItsEndAsInformation(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	db, late := newDatabase(t), newLateServer(t)
	late.open(t, db)
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Logger = zap.New(core)
		c.Pool.MaxConns = 2
	})
	levels := func() map[zapcore.Level][]string {
		lines := make(map[zapcore.Level][]string)
		for _, l := range logs.All() {
			if _, status := l.ContextMap()["to"]; status {
				lines[l.Level] = append(lines[l.Level], l.Message)
			}
		}
		return lines
	}
	require.NoError(t, m.Start(bounded(t)))
	late.close(t)
	m.ForgetAnswers()
	require.False(t, m.Health(bounded(t)).Ready)
	late.open(t, db)
	eventually(t, func() bool { m.ForgetAnswers(); return m.Health(bounded(t)).Ready })
	lines := levels()
	require.Contains(t, lines[zap.ErrorLevel], "pool can't use its server")
	require.Contains(t, lines[zap.InfoLevel], "pool can use its server")
	require.Empty(t, lines[zap.WarnLevel])

	for range 2 {
		t.Cleanup(acquire(t, m, "holder").Release)
	}
	eventually(t, func() bool { return m.Health(bounded(t)).Status == lifecycle.Unhealthy })
	require.Contains(t, levels()[zap.WarnLevel], "pool status is worse")
}

func TestADrainIsReportedWhenTheServerWasAway(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestADrainIsReported")
	db, late := newDatabase(t), newLateServer(t)
	late.open(t, db)
	m := newMonitor(t, db.URL(), late.via)
	changes := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	require.NoError(t, m.Start(bounded(t)))
	late.close(t)
	m.ForgetAnswers()
	require.False(t, m.Health(bounded(t)).Ready)
	require.NotEqual(t, lifecycle.ErrDraining.Error(), receive(t, changes).Error)
	_, _ = lifecycle.Drain(bounded(t), m, 0)
	require.Equal(t, lifecycle.ErrDraining.Error(), receive(t, changes).Error)
}

// TestADrainIsTheLastChange has looks of every age under way when the drain begins.
func TestADrainIsTheLastChange(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m := newMonitor(t, newDatabase(t).URL(), nil)
	var mu sync.Mutex
	var changes []lifecycle.Health
	m.OnChange(func(h lifecycle.Health) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, h)
	})
	require.NoError(t, m.Start(bounded(t)))
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
	_, _ = lifecycle.Drain(bounded(t), m, hang)
	h := m.Health(bounded(t))
	require.False(t, h.Ready)
	close(stop)
	looks.Wait()
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(changes) > 0 && changes[len(changes)-1].Error == lifecycle.ErrDraining.Error()
	})
	m.Health(bounded(t))
	mu.Lock()
	defer mu.Unlock()
	for i, h := range changes {
		require.Equal(t, i == len(changes)-1, h.Error == lifecycle.ErrDraining.Error(), "%d of %d: %+v", i+1, len(changes), h)
	}
}

func TestAWatcherThatBlocksHoldsUpNobody(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m := newMonitor(t, newDatabase(t).URL(), nil)
	blocked, goOn := make(chan struct{}, 10), make(chan struct{})
	var order []lifecycle.Health
	m.OnChange(func(h lifecycle.Health) {
		order = append(order, h) // no two at a time
		blocked <- struct{}{}
		<-goOn
	})
	require.False(t, m.Health(bounded(t)).Ready, "before the start")
	receive(t, blocked)
	require.NoError(t, m.Start(bounded(t)))
	require.True(t, m.Health(bounded(t)).Ready)
	require.NoError(t, receive(t, beginDrain(t, m)), "while the watcher blocks")
	close(goOn)
	receive(t, blocked)
	receive(t, blocked)
	require.Len(t, order, 3)
	require.Equal(t, []bool{false, true, false}, []bool{order[0].Ready, order[1].Ready, order[2].Ready})
	require.Equal(t, lifecycle.ErrDraining.Error(), order[2].Error)
}
