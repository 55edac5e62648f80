package orchestrator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestTasksArePagedByStatus(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, as(t, "globex"), c, "of globex")
	held(t, ctx, c, "c0", "c1", "c2", "f0", "f1", "d0", "d1", "d2")
	for _, id := range []string{"c0", "c1", "c2"} {
		require.NoError(t, c.Complete(ctx, id))
	}
	for _, id := range []string{"f0", "f1"} {
		_, err := c.Fail(ctx, id, "why", false)
		require.NoError(t, err)
	}
	enqueue(t, ctx, c, "q0", "q1", "q2")
	exec(t, ctx, db, "update orchestrator.tasks set deadline = deadline - interval '1 minute' where id = 'd1'")
	for status, want := range map[orchestrator.TaskStatus][]string{
		orchestrator.TaskQueued: {"q0", "q1", "q2"}, orchestrator.TaskDequeued: {"d1", "d0", "d2"},
		orchestrator.TaskCompleted: {"c2", "c1", "c0"}, orchestrator.TaskFailed: {"f1", "f0"}, orchestrator.TaskCancelled: {},
	} {
		got := clienttest.Pages(t, len(want), func(limit int, after string) (modules.Page[orchestrator.Task], error) {
			return c.TasksPage(ctx, status, limit, after)
		})
		require.Equal(t, want, ids(got), status)
		for _, task := range got {
			require.Equal(t, status, task.Status)
		}
	}
	_, err := c.TasksPage(ctx, "odd", 0, "")
	require.ErrorContains(t, err, "status must be one of")
	_, err = c.TasksPage(ctx, orchestrator.TaskQueued, 1001, "")
	require.ErrorContains(t, err, "limit must be from 1 to 1000")
}

// A task that leaves the list after its page must not end the list.
func TestAListGoesOnBehindATaskThatHasLeft(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "f0", "f1")
	for _, id := range []string{"f0", "f1"} {
		_, err := c.Fail(ctx, id, "why", false)
		require.NoError(t, err)
	}
	p, err := c.TasksPage(ctx, orchestrator.TaskFailed, 1, "")
	require.NoError(t, err)
	require.Equal(t, []string{"f1"}, ids(p.Items))
	_, err = c.Retry(ctx, "f1")
	require.NoError(t, err)
	p, err = c.TasksPage(ctx, orchestrator.TaskFailed, 1, p.Next)
	require.NoError(t, err)
	require.Equal(t, []string{"f0"}, ids(p.Items))
}

func TestOverdueTasksAndAssignmentsArePaged(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "d0", "d1", "in time")
	for _, id := range []string{"d0", "d1"} {
		assign(t, ctx, c, assignment(id))
	}
	enqueue(t, ctx, c, "q0", "q1", "q in time")
	exec(t, ctx, db, `update orchestrator.tasks set deadline = now() - case id when 'q1' then 4 when 'd1' then 3 when 'q0' then 2 else 1 end * interval '1 minute'
		where id not like '%in time'`)
	exec(t, ctx, db, `update orchestrator.assignments set assigned_at = now() - interval '1 hour', deadline = now() - case task_id when 'd1' then 2 else 1 end * interval '1 minute'`)
	want := []string{"q1", "d1", "q0", "d0"}
	got := clienttest.Pages(t, 4, func(limit int, after string) (modules.Page[orchestrator.Task], error) {
		return c.TimedOutPage(ctx, limit, after)
	})
	require.Equal(t, want, ids(got))
	all, err := c.TimedOut(ctx)
	require.NoError(t, err)
	require.Equal(t, want, ids(all))

	var overdue []string
	for _, a := range clienttest.Pages(t, 2, func(limit int, after string) (modules.Page[orchestrator.Assignment], error) {
		return c.OverdueAssignmentsPage(ctx, limit, after)
	}) {
		overdue = append(overdue, a.TaskID)
	}
	require.Equal(t, []string{"d1", "d0"}, overdue)
	none, err := c.TimedOutPage(as(t, "globex"), 0, "")
	require.NoError(t, err)
	require.Empty(t, none.Items)
}

func TestSnapshotsAreReadTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SnapshotStats(ctx))
	held(t, ctx, c, "c", "f")
	require.NoError(t, c.Complete(ctx, "c"))
	enqueue(t, ctx, c, "x")
	_, err := c.CancelQueued(ctx)
	require.NoError(t, err)
	enqueue(t, ctx, c, "q")
	require.NoError(t, c.SnapshotStats(ctx))
	want, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, want.Cancelled)
	require.NoError(t, c.SnapshotStats(as(t, "globex")))
	require.NoError(t, c.SnapshotStats(ctx))

	got := clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[orchestrator.Snapshot], error) {
		return c.SnapshotsPage(ctx, limit, after)
	})
	require.Zero(t, got[2].Enqueued)
	require.Len(t, got[1].ID, 36)
	require.True(t, got[1].RecordedAt.After(got[2].RecordedAt))
	stats := got[1].QueueStats
	require.InDelta(t, want.MaxWait, stats.MaxWait, 1e6, "kept in whole ms")
	require.InDelta(t, want.AvgWait, stats.AvgWait, 1e4)
	require.InDelta(t, want.AvgProcessing, stats.AvgProcessing, 1e4)
	stats.MaxWait, stats.AvgWait, stats.AvgProcessing = want.MaxWait, want.AvgWait, want.AvgProcessing
	require.Equal(t, want, stats)
}
