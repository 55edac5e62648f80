package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/admission"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

type panics struct{}

func TestAPanicInAHookGivesThePermitBack(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	ctl, err := admission.New(admission.Config{Capacity: 5})
	require.NoError(t, err)
	share := ctl.Client("unlucky")
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.Admission = ctl
		c.Pool.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if ctx.Value(panics{}) != nil {
				panic("boom")
			}
			return true, nil
		}
	})
	require.NoError(t, m.Start(t.Context()))
	require.PanicsWithValue(t, "boom", func() {
		_, _ = m.Acquire(context.WithValue(t.Context(), panics{}, true), lifecycle.Request{Client: "unlucky", Share: share})
	})
	require.PanicsWithValue(t, "boom", func() {
		_, _ = m.Pool().Acquire(context.WithValue(t.Context(), panics{}, true))
	})
	stats := ctl.Stats()
	require.Equal(t, stats.Capacity, stats.Free, "the permit is back")
	require.Zero(t, m.Waiting())
	require.Eventually(t, func() bool { return m.Pool().Stat().AcquiredConns() == 0 }, 10*time.Second, time.Millisecond,
		"the connection is not lost")
}
