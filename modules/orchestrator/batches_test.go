package orchestrator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

// fillQueue adds n queued tasks, whose ids are in a different order than the queue.
func fillQueue(t testing.TB, ctx context.Context, db *fxdb.DB, n int) {
	t.Helper()
	exec(t, ctx, db, fmt.Sprintf(`insert into orchestrator.tasks (id, task_type, description, deadline)
		select md5(g::text), 'general', '', now() from generate_series(1, %d) g`, n))
}

func TestCancelQueuedCancelsInBatches(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	fillQueue(t, ctx, db, 4500)
	for _, want := range []int64{4500, 0} {
		n, err := c.CancelQueued(ctx)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	var stamps int
	scan(t, ctx, db, "select count(distinct completed_at) from orchestrator.tasks", &stamps)
	require.Equal(t, 3, stamps, "a transaction for each batch")
}

// With an error the batches before stay cancelled, and the next call goes on.
func TestCancelQueuedGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	ctx := as(t, "acme")
	fillQueue(t, ctx, db, 4500)
	c, err := orchestrator.New(orchestrator.Params{
		DB: db.Named("orchestrator", fxdb.RequireTenant()), Config: orchestrator.Config{StatementTimeout: 5 * time.Second},
	})
	require.NoError(t, err)
	tx, err := db.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "select from orchestrator.tasks where seq = 3000 for update")
	require.NoError(t, err)
	n, err := c.CancelQueued(ctx)
	require.ErrorIs(t, err, modules.ErrTimeout)
	require.EqualValues(t, 2000, n)
	require.NoError(t, tx.Rollback(ctx))
	n, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2500, n)
}

func TestDeleteFinishedGoesOnThroughTasksOfTheSameTime(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, deadline, status, completed_at)
		select md5(g::text), 'general', '', now(), (array['completed', 'failed', 'cancelled'])[1 + g % 3], now() - interval '1 day' from generate_series(1, 7000) g`)
	enqueue(t, ctx, c, "queued")
	for _, want := range []int64{7000, 0} {
		n, err := c.DeleteFinished(ctx, time.Hour)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, orchestrator.TaskQueued, get(t, ctx, c, "queued").Status)
	requireCounts(t, ctx, c, db)
}
