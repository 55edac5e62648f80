package lifecycle_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

type panics struct{}

func TestAPanicInAHookGivesThePermitBack(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctl, err := admission.New(admission.Config{Capacity: 5})
	require.NoError(t, err)
	permits := ctl.Client("unlucky")
	m, _ := startPool(t, func(c *lifecycle.Config) {
		c.Admission = ctl
		c.Pool.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if ctx.Value(panics{}) != nil {
				panic("boom")
			}
			return true, nil
		}
	})
	require.PanicsWithValue(t, "boom", func() {
		_, _ = m.Acquire(context.WithValue(bounded(t), panics{}, true), lifecycle.Request{Client: "unlucky", Permits: permits})
	})
	require.PanicsWithValue(t, "boom", func() {
		_, _ = m.Pool().Acquire(context.WithValue(bounded(t), panics{}, true))
	})
	stats := ctl.Stats()
	require.Equal(t, stats.Capacity, stats.Free, "the permit is back")
	require.Zero(t, m.Waiting())
	eventually(t, func() bool { return m.Pool().Stat().AcquiredConns() == 0 }, "the connection is lost")
}
