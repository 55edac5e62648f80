package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

func TestAnAcquireInVainNamesTheHolders(t *testing.T) {
	t.Parallel()
	const held = 4
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MinConns, c.Pool.MaxConns = held, held })
	var holders []*pgxpool.Conn
	for i := range held {
		conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "reports", Tenant: "acme"})
		require.NoError(t, err)
		defer conn.Release()
		_, err = conn.Exec(bounded(t), "select 'the last one'")
		require.NoError(t, err)
		lifecycle.Age(conn, time.Duration(held-i)*time.Hour)
		holders = append(holders, conn)
	}
	for name, c := range map[string]struct {
		acquire func() error
		is      error
	}{
		"the time to wait is over": {func() error {
			_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "victim", Timeout: time.Millisecond})
			return err
		}, lifecycle.ErrAcquireTimeout},
		"the caller's own time is over": {func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := m.Acquire(ctx, lifecycle.Request{Client: "victim"})
			return err
		}, context.DeadlineExceeded},
	} {
		err := c.acquire()
		require.ErrorIs(t, err, c.is, name)
		var acquireErr *lifecycle.AcquireError
		require.ErrorAs(t, err, &acquireErr)
		require.Equal(t, "victim", acquireErr.Client)
		require.Equal(t, []int{held, held, 0, held}, []int{acquireErr.Max, acquireErr.Total, acquireErr.Idle, acquireErr.Active})
		require.Len(t, acquireErr.Holders, 3, "the longest")
		for i, h := range acquireErr.Holders {
			require.Equal(t, holders[i].Conn().PgConn().PID(), h.PID, "the longest first")
			require.Equal(t, []string{"reports", "acme", "select 'the last one'"}, []string{h.Client, h.Tenant, h.Query})
			require.Contains(t, h.Caller, "TestAnAcquireInVainNamesTheHolders")
			require.Contains(t, h.String(), `reports (tenant "acme") for`)
			h.Tenant = "" // the error may reach another tenant
			require.ErrorContains(t, err, h.String())
			require.ErrorContains(t, err, `last statement "select ?"`, "and shows no value of the statement")
		}
	}
}

// Done makes the bound at the second call: the test fails if puddle or pgxpool calls Done more often
// than once for an idle connection.
func TestAnAcquireOfAnIdleConnectionMakesNoBound(t *testing.T) {
	t.Parallel()
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MinConns, c.Pool.MaxConns = 1, 1 })
	bound, err := m.AcquireIsBounded(bounded(t))
	require.NoError(t, err)
	require.False(t, bound)
}
