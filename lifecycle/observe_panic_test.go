package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// unsound panics at every call.
type unsound struct{}

func (unsound) Acquired(string, time.Duration, error)  { panic("acquired") }
func (unsound) Released(string, time.Duration)         { panic("released") }
func (unsound) Connected(string, time.Duration, error) { panic("connected") }
func (unsound) Ended(string, time.Duration, error)     { panic("ended") }

func TestAnObserverThatPanicsLeaksNothingAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, newDatabase(t).URL(), func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns, c.Logger = 0, 1, zap.New(core)
	})
	sound := newRecord()
	m.Observe(unsound{})
	m.Observe(sound)
	require.NoError(t, m.Start(bounded(t)))
	for range 3 { // the only connection: the second would wait for a leaked one
		conn := acquire(t, m, "worker")
		_, err := conn.Exec(bounded(t), "select 1")
		require.NoError(t, err)
		conn.Release()
	}
	acquired, released, _ := sound.counts()
	require.Equal(t, 3, acquired["worker"], "the other observers get the event all the same")
	require.Equal(t, 3, released["worker"])
	require.Zero(t, m.Pool().Stat().AcquiredConns())
	lines := logs.FilterMessageSnippet("observer panicked").All()
	require.Len(t, lines, 1)
	require.Equal(t, zap.ErrorLevel, lines[0].Level)
	require.Equal(t, "lifecycle_test.unsound", lines[0].ContextMap()["observer"])
	report, err := lifecycle.Drain(bounded(t), m, hang)
	require.NoError(t, err)
	require.Zero(t, report.InUse)
}

// statements are the statements of which an observer heard.
type statements struct {
	*record
	ended map[string][]error
}

func (s *statements) Ended(client string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if took > 0 {
		s.ended[client] = append(s.ended[client], err)
	}
}

func TestAnObserverGetsStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m := newMonitor(t, newDatabase(t).URL(), nil)
	seen := &statements{newRecord(), map[string][]error{}}
	stop := m.Observe(seen)
	require.NoError(t, m.Start(bounded(t)))
	conn := acquire(t, m, "worker")
	defer conn.Release()
	_, err := conn.Exec(bounded(t), "select 1")
	require.NoError(t, err)
	_, failed := conn.Exec(bounded(t), "select 1/0")
	require.Error(t, failed)
	stop()
	_, err = conn.Exec(bounded(t), "select 1")
	require.NoError(t, err)
	require.Len(t, seen.ended["worker"], 2)
	require.NoError(t, seen.ended["worker"][0])
	require.Equal(t, "22012", lifecycle.ErrorClass(seen.ended["worker"][1]))
	require.Len(t, seen.ended, 1, "looks at the server are no client's")
}
