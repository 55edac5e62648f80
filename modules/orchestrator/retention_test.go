package orchestrator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

func TestDeleteFinishedDeletesWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "completed", "failed", "claimed")
	assign(t, ctx, c, assignment("completed"))
	record(t, c, orchestrator.Execution{TaskID: "completed", AssignmentID: "a-completed"})
	require.NoError(t, c.Complete(ctx, "completed"))
	_, err := c.Fail(ctx, "failed", "", false)
	require.NoError(t, err)
	enqueue(t, ctx, c, "cancelled")
	_, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	enqueue(t, ctx, c, "queued")
	held(t, as(t, "globex"), c, "theirs")
	require.NoError(t, c.Complete(as(t, "globex"), "theirs"))
	backdate := func(days string) {
		// The counts change with the tasks, by a trigger.
		_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "alter table orchestrator.tasks no force row level security; alter table orchestrator.task_counts no force row level security")
		require.NoError(t, err)
		_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "update orchestrator.tasks set completed_at = now() - interval '"+days+" days'")
		require.NoError(t, err)
	}
	backdate("29")
	n, err := c.DeleteFinished(ctx, 0)
	require.NoError(t, err)
	require.Zero(t, n, "30 days are kept")
	backdate("31")
	n, err = c.DeleteFinished(ctx, 32*24*time.Hour)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.DeleteFinished(ctx, 0)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	for _, id := range []string{"completed", "failed", "cancelled"} {
		_, err := c.Task(ctx, id)
		require.ErrorIs(t, err, orchestrator.ErrTaskNotFound, id)
	}
	get(t, ctx, c, "queued")
	get(t, ctx, c, "claimed")
	get(t, as(t, "globex"), c, "theirs")
	_, err = c.Assignment(ctx, "a-completed")
	require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound)
	require.Empty(t, history(t, c, "completed"))
	require.Equal(t, 30*24*time.Hour, orchestrator.DefaultRetention)

	_, err = c.DeleteFinished(ctx, -1)
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "age must not be negative")
}

func TestDeleteFinishedGoesInBatches(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, status, deadline, completed_at)
		select g::text, 'general', '', 'completed', now(), now() - interval '1 hour' from generate_series(1, 11000) g`)
	tx, err := db.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "select from orchestrator.tasks where id = '1' for update")
	require.NoError(t, err)
	n, err := c.DeleteFinished(ctx, time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 10999, n, "what somebody holds is left to the next time")
	require.NoError(t, tx.Rollback(ctx))
	n, err = c.DeleteFinished(ctx, time.Nanosecond)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}
