package orchestrator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

func TestClientStatsCountCalls(t *testing.T) {
	t.Parallel()
	before := time.Now()
	c, db := newClient(t)
	ctx := as(t, "acme")
	fresh := c.ClientStats()
	require.Zero(t, fresh.Queries)
	require.Zero(t, fresh.AvgQueryTime)
	require.True(t, fresh.LastHealthCheck.IsZero())
	require.Positive(t, fresh.Uptime)
	require.LessOrEqual(t, fresh.Uptime, time.Since(before))

	enqueue(t, ctx, c, "t")           // a transaction
	_, err := c.Task(ctx, "t")        // a query
	require.NoError(t, err)           //
	_, err = c.Task(ctx, "missing")   // a query; that there is none is an answer
	require.Error(t, err)             //
	_, err = c.Task(ctx, "")          // nothing is sent
	require.Error(t, err)             //
	_, err = c.Task(t.Context(), "t") // refused
	require.Error(t, err)             //
	require.NoError(t, c.SetConfig(t.Context(), "key", 1, nil, ""))
	s := c.ClientStats()
	require.EqualValues(t, 5, s.Queries)
	require.EqualValues(t, 1, s.Transactions)
	require.EqualValues(t, 1, s.Failed)
	require.Positive(t, s.AvgQueryTime)
	require.LessOrEqual(t, s.AvgQueryTime, s.Uptime)
	require.Greater(t, s.Uptime, fresh.Uptime)
	again := c.ClientStats()
	require.LessOrEqual(t, again.Uptime, time.Since(before), "asking does not change the start")

	// Who holds a connection is active.
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	s = c.ClientStats()
	require.Equal(t, 1, s.Pool.Active)
	require.Equal(t, s.Pool.Total-1, s.Pool.Idle)
	require.Zero(t, s.Pool.Waiting)
	conn.Release()
}

func TestHealth(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	h := c.Health(t.Context())
	require.NoError(t, h.Err)
	require.True(t, h.Healthy)
	require.Positive(t, h.Latency)
	require.Less(t, h.Latency, time.Second)
	require.Positive(t, h.Pool.Total)
	require.Positive(t, h.Pool.Idle)
	require.WithinDuration(t, time.Now(), c.ClientStats().LastHealthCheck, time.Minute)
	require.NoError(t, db.Close(t.Context()))
	h = c.Health(t.Context())
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, fxdb.ErrDraining)
	require.ErrorContains(t, h.Err, "orchestrator: health: ")

	var none *orchestrator.Client
	require.ErrorIs(t, none.Health(t.Context()).Err, fxdb.ErrNotStarted)
	require.ErrorIs(t, (&orchestrator.Client{}).Health(t.Context()).Err, fxdb.ErrNotStarted)
}

// A ping that gets no connection is not waited for.
func TestHealthIsBounded(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "modules' TestRowsAreCounted")
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.NestedAcquire = 1, 1, "off" }))
	c, err := orchestrator.New(orchestrator.Params{DB: db})
	require.NoError(t, err)
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	began := time.Now()
	h := c.Health(t.Context())
	require.Less(t, time.Since(began), 9*time.Second, "the pool's own limit is 10 s")
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, modules.ErrTimeout)
	require.GreaterOrEqual(t, h.Latency, 2*time.Second)
	require.Equal(t, 1, h.Pool.Active)
}
