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

func TestALeakIsReportedOnceAndItsReturnToo(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.LeakThreshold, c.Logger = time.Hour, zap.New(core) })
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "leaky", Tenant: "acme"})
	require.NoError(t, err)
	_, err = conn.Exec(bounded(t), "select 'the last one'")
	require.NoError(t, err)
	lifecycle.Age(conn, time.Hour)

	held := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("held too long: ") }
	eventually(t, func() bool { return held().Len() == 1 })
	fields := held().All()[0].ContextMap()
	require.Equal(t, "leaky", fields["client"])
	require.Equal(t, "acme", fields["tenant"])
	require.Equal(t, "select ?", fields["statement"])
	require.Contains(t, fields["call_site"], "TestALeakIsReportedOnceAndItsReturnToo")

	// A second leak is seen by a later look: the first is not reported by it again.
	other := acquire(t, m, "other")
	lifecycle.Age(other, time.Hour)
	eventually(t, func() bool { return held().Len() == 2 })
	require.Equal(t, "other", held().All()[1].ContextMap()["client"])

	conn.Release()
	other.Release()
	back := logs.FilterMessageSnippet("came back").All()
	require.Len(t, back, 2)
	require.Equal(t, "leaky", back[0].ContextMap()["client"])
}

func TestALeaksReportNamesItsCallSiteUnasked(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	m, _ := startPool(t, func(c *lifecycle.Config) {
		c.LeakThreshold, c.Logger, c.Callers, c.Pool.MaxConns = time.Hour, zap.New(core), false, 4
	})
	for range 3 { // the first acquire is known in any case
		acquire(t, m, "other").Release()
	}
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "leaky"})
	require.NoError(t, err)
	defer conn.Release()
	lifecycle.Age(conn, time.Hour)
	held := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("held too long: ") }
	eventually(t, func() bool { return held().Len() == 1 })
	require.Contains(t, held().All()[0].ContextMap()["call_site"], "TestALeaksReportNamesItsCallSiteUnasked")
}
