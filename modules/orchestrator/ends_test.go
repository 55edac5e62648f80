package orchestrator_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/orchestrator"
)

// The task was given out again, and its run stayed open for ever.
func TestACompletedAssignmentCompletesItsTaskAndItsRun(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	record(t, c, execution("t", func(e *orchestrator.Execution) { e.AssignmentID = "a-t" }))
	require.NoError(t, c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentCompleted)}))

	done := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskCompleted, done.Status)
	require.NotNil(t, done.CompletedAt)
	run := history(t, c, "t")[0]
	require.NotNil(t, run.CompletedAt)
	require.True(t, *run.Success)
	exec(t, ctx, db, "update orchestrator.tasks set deadline = now() - interval '1 hour'")
	again, err := c.Claim(ctx, 1, "another")
	require.NoError(t, err)
	require.Empty(t, again, "nobody does finished work again")
}

func TestRunsEndWithTheirTaskOrAssignment(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for name, way := range map[string]struct {
		success bool
		why     string
		end     func(id string) error
	}{
		"complete": {true, "", func(id string) error { return c.Complete(ctx, id) }},
		"fail":     {false, "no network", func(id string) error { _, err := c.Fail(ctx, id, "no network", false); return err }},
		"retry":    {false, "", func(id string) error { _, err := c.Retry(ctx, id); return err }},
		"expire": {false, "the task was not finished in time", func(id string) error {
			exec(t, ctx, db, "update orchestrator.tasks set deadline = now() - interval '1 hour' where id = '"+id+"'")
			_, err := c.Claim(ctx, 1, "another")
			return err
		}},
		"another run": {false, "another run ended the task", func(id string) error {
			_, err := c.RecordExecution(ctx, execution(id, ended(true)))
			return err
		}},
		"failed assignment": {false, "gone", func(id string) error {
			return c.UpdateAssignment(ctx, "a-"+id, orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentFailed), Error: ptr("gone")})
		}},
		"cancelled assignment": {false, "", func(id string) error {
			return c.UpdateAssignment(ctx, "a-"+id, orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentCancelled)})
		}},
	} {
		_, err := c.CancelQueued(ctx)
		require.NoError(t, err)
		held(t, ctx, c, name)
		assign(t, ctx, c, assignment(name))
		id := record(t, c, execution(name, func(e *orchestrator.Execution) { e.AssignmentID = "a-" + name }))
		require.NoError(t, way.end(name), name)
		found := false
		for _, run := range history(t, c, name) {
			if run.ID != id {
				continue
			}
			found = true
			require.NotNil(t, run.CompletedAt, name)
			require.Equal(t, way.success, *run.Success, name)
			require.False(t, run.CompletedAt.Before(run.StartedAt))
			if way.why == "" {
				require.Nil(t, run.Error, name)
			} else {
				require.Equal(t, way.why, *run.Error, name)
			}
		}
		require.True(t, found, name)
	}
}

// Retries took a queue to 1001 of 1000.
func TestRetriesStayWithinTheCapacity(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 2, nil, ""))
	held(t, ctx, c, "a")
	enqueue(t, ctx, c, "b", "c")
	failed := execution("a", ended(false), func(e *orchestrator.Execution) { e.Retry = true })
	for name, back := range map[string]func() error{
		"Retry":           func() error { _, err := c.Retry(ctx, "a"); return err },
		"Fail":            func() error { _, err := c.Fail(ctx, "a", "why", true); return err },
		"RecordExecution": func() error { _, err := c.RecordExecution(ctx, failed); return err },
	} {
		require.ErrorIs(t, back(), orchestrator.ErrQueueFull, name)
		require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "a").Status, "the claim lasts")
		require.Nil(t, get(t, ctx, c, "a").LastError)
	}
	require.Empty(t, history(t, c, "a"))

	// Claims that are over wait for room, too.
	exec(t, ctx, db, "update orchestrator.tasks set deadline = now() - interval '1 hour' where id = 'a'")
	require.Equal(t, []string{"b"}, ids(claim(t, ctx, c, 1)))
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "a").Status)
	require.Equal(t, []string{"a"}, ids(claim(t, ctx, c, 1)), "as old as it was")
	_, err := c.Fail(ctx, "a", "why", false)
	require.NoError(t, err)
	attempts, err := c.Retry(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, 2, attempts)
	depth, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, depth.Depth)

	// Many at once leave the queue within its capacity.
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 100, nil, ""))
	for i := range 20 {
		enqueue(t, ctx, c, fmt.Sprint("many", i))
	}
	all, err := c.Claim(ctx, 100, "w")
	require.NoError(t, err)
	require.Len(t, all, 22)
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 5, nil, ""))
	refused := 0
	for _, err := range together(len(all), func(i int) error { _, err := c.Fail(ctx, all[i].ID, "why", true); return err }) {
		if err != nil {
			require.ErrorIs(t, err, orchestrator.ErrQueueFull)
			refused++
		}
	}
	depth, err = c.Stats(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, depth.Depth, int64(5))
	require.Positive(t, refused)
}

// What was sent was dropped, and the answer said that it was stored.
func TestAQueuedTaskThatIsSentAgainIsStoredAsSent(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "t")
	want := task("t", func(t *orchestrator.Task) { t.Type, t.Description = orchestrator.Research, "another text" })
	require.NoError(t, c.Enqueue(ctx, want))
	got := get(t, ctx, c, "t")
	require.Equal(t, []any{want.Type, want.Description}, []any{got.Type, got.Description})
}

func TestATaskThatNobodyHoldsTakesNeitherAssignmentsNorRuns(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	claimed := held(t, ctx, c, "t")[0]
	for _, call := range []struct {
		name string
		do   func() error
		want error
	}{
		{"an assignment", func() error { _, err := c.Assign(ctx, assignment("t")); return err }, orchestrator.ErrStatus},
		{"an assignment of the claim", func() error { _, err := c.Assign(ctx, assignment("t"), orchestrator.Held(claimed)); return err }, orchestrator.ErrNotHeld},
		{"a run", func() error { _, err := c.RecordExecution(ctx, execution("t")); return err }, orchestrator.ErrNotHeld},
		{"a run that has ended", func() error { _, err := c.RecordExecution(ctx, execution("t", ended(true))); return err }, orchestrator.ErrNotHeld},
	} {
		for status, do := range map[orchestrator.TaskStatus]string{
			orchestrator.TaskQueued: "claim the task first", orchestrator.TaskFailed: "retry and claim the task first",
			orchestrator.TaskCompleted: "enqueue a new task", orchestrator.TaskCancelled: "enqueue a new task", orchestrator.TaskDequeued: "",
		} {
			name := call.name + " of a task that is " + string(status)
			exec(t, ctx, db, "delete from orchestrator.assignments")
			exec(t, ctx, db, "delete from orchestrator.executions")
			exec(t, ctx, db, "update orchestrator.tasks set completed_at = null, status = '"+string(status)+"'")
			err := call.do()
			var stored int
			scan(t, ctx, db, "select (select count(*) from orchestrator.assignments) + (select count(*) from orchestrator.executions)", &stored)
			if status == orchestrator.TaskDequeued {
				require.NoError(t, err, name)
				require.Equal(t, 1, stored, name)
				continue
			}
			require.ErrorIs(t, err, call.want, name)
			require.ErrorContains(t, err, "task is "+string(status)+": ", name)
			if errors.Is(call.want, orchestrator.ErrStatus) {
				require.ErrorContains(t, err, do, name)
			}
			require.Zero(t, stored, name)
		}
	}
}
