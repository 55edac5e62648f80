package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestALeakIsReportedOnceAndItsReturnToo(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.LeakThreshold = 20 * time.Millisecond
		c.Logger = zap.New(core)
	})
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "leaky", Tenant: "acme"})
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select 'the last one'")
	require.NoError(t, err)

	held := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("held too long: ") }
	require.Eventually(t, func() bool { return held().Len() == 1 }, time.Minute, time.Millisecond)
	fields := held().All()[0].ContextMap()
	require.Equal(t, "leaky", fields["client"])
	require.Equal(t, "acme", fields["tenant"])
	require.Equal(t, "select 'the last one'", fields["statement"])
	require.Contains(t, fields["caller"], "TestALeakIsReportedOnceAndItsReturnToo")

	// A second leak is seen by a later look: the first is not reported by it again.
	other, err := m.Acquire(t.Context(), lifecycle.Request{Client: "other"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return held().Len() == 2 }, time.Minute, time.Millisecond)
	require.Equal(t, "other", held().All()[1].ContextMap()["client"])

	conn.Release()
	other.Release()
	back := logs.FilterMessageSnippet("came back").All()
	require.Len(t, back, 2)
	require.Equal(t, "leaky", back[0].ContextMap()["client"])
}
