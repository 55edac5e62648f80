package orchestrator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestClaimGivesATaskToAWorker(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	none, err := c.Claim(ctx, 1, "w1")
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)

	enqueue(t, ctx, c, "1", "2", "3")
	before := get(t, ctx, c, "1")
	got, err := c.Claim(ctx, 2, "w1")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, ids(got))
	want := before
	want.Status, want.Attempts, want.ClaimedBy = orchestrator.TaskDequeued, 1, ptr("w1")
	want.DequeuedAt, want.Deadline = got[0].DequeuedAt, got[0].DequeuedAt.Add(time.Hour)
	require.Equal(t, want, got[0])
	require.WithinDuration(t, time.Now(), *got[0].DequeuedAt, time.Minute)
	require.Equal(t, got[0], get(t, ctx, c, "1"))

	got, err = c.Claim(ctx, 2, "w2")
	require.NoError(t, err)
	require.Equal(t, []string{"3"}, ids(got), "what is claimed is not given out")
	require.Equal(t, "w2", *got[0].ClaimedBy)
	got, err = c.Claim(ctx, 2, "w2")
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestClaimRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for n, worker := range map[int]string{0: "w", -1: "w", 1001: "w", 1: " ", 2: strings.Repeat("w", 256)} {
		_, err := c.Claim(ctx, n, worker)
		require.ErrorIs(t, err, modules.ErrInvalid, n)
	}
	_, err := c.Claim(ctx, 1001, "w")
	require.ErrorContains(t, err, "orchestrator: claim: invalid: n must be from 1 to 1000")
	_, err = c.Claim(ctx, 1000, "w")
	require.NoError(t, err)
}

func TestClaimIsInTheOrderOfTheMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[orchestrator.QueueMode]string{
		orchestrator.ModePriority: "3 1 4 0 2", orchestrator.ModeFIFO: "0 1 2 3 4", orchestrator.ModeDeadline: "4 1 2 3 0",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			c, _ := newClient(t)
			ctx := as(t, "acme")
			require.NoError(t, c.SetConfig(t.Context(), orchestrator.PriorityMode, mode, nil, ""))
			fill := func() {
				tasks := make([]orchestrator.Task, 5)
				for i := range tasks {
					tasks[i] = task(fmt.Sprint(i), func(t *orchestrator.Task) {
						t.Priority = []int{1, 5, 1, 10, 5}[i]
						t.Timeout = time.Hour * time.Duration([]int{5, 2, 3, 4, 1}[i])
						t.MaxAttempts = 10
					})
				}
				require.NoError(t, c.EnqueueAll(ctx, tasks))
			}
			fill()
			require.Equal(t, strings.Fields(want), ids(claim(t, ctx, c, 5)), "all at once")
			for id := range 5 {
				_, err := c.Retry(ctx, fmt.Sprint(id))
				require.NoError(t, err)
			}
			var got []string
			for range 5 {
				got = append(got, ids(claim(t, ctx, c, 1))...)
			}
			require.Equal(t, strings.Fields(want), got, "one by one")
		})
	}
}

// Without the setting the mode is priority.
func TestClaimWithoutASettingGoesByPriority(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, t.Context(), db, "delete from orchestrator.queue_config")
	enqueue(t, ctx, c, "low")
	require.NoError(t, c.Enqueue(ctx, task("high", func(t *orchestrator.Task) { t.Priority = 2 })))
	require.Equal(t, []string{"high", "low"}, ids(claim(t, ctx, c, 2)))
}

// A task whose worker died is given out again once its claim has ended, and not
// before.
func TestClaimGivesOutWhatADeadWorkerHeld(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.Enqueue(ctx, task("t", func(t *orchestrator.Task) { t.MaxAttempts = 2 })))
	dead := claim(t, ctx, c, 1)[0]
	a := assign(t, ctx, c, assignment("t"))
	claim(t, ctx, c, 0) // its time is not over
	expire(t, ctx, db)

	again, err := c.Claim(ctx, 1, "another")
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, "another", *again[0].ClaimedBy)
	require.Equal(t, orchestrator.TaskDequeued, again[0].Status)
	require.Equal(t, "the worker did not finish in time", *again[0].LastError)
	require.Nil(t, again[0].CompletedAt)
	ended, err := c.Assignment(ctx, a.ID)
	require.NoError(t, err)
	require.Equal(t, orchestrator.AssignmentFailed, ended.Status)
	require.Equal(t, "timeout", *ended.ErrorCode)
	require.Equal(t, "the task was not finished in time", *ended.Error)
	require.NotNil(t, ended.CompletedAt)

	// The one taken for dead comes back: the task is another's now.
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(dead)), orchestrator.ErrNotHeld)
	_, err = c.Fail(ctx, "t", "why", true, orchestrator.Held(dead))
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)
	_, err = c.Retry(ctx, "t", orchestrator.Held(dead))
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)
	_, err = c.Assign(ctx, assignment("t", func(a *orchestrator.Assignment) { a.ID = "late" }), orchestrator.Held(dead))
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)
	require.ErrorIs(t, err, modules.ErrConflict)
	_, err = c.RecordExecution(ctx, orchestrator.Execution{TaskID: "t", Attempt: dead.Attempts, AgentID: "ada", AgentName: "Ada"})
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)
	require.Equal(t, again[0], get(t, ctx, c, "t"))

	// Its attempts are used: it is not given out a third time.
	expire(t, ctx, db)
	claim(t, ctx, c, 0)
	failed := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskFailed, failed.Status)
	require.NotNil(t, failed.CompletedAt)
	require.Equal(t, 2, failed.Attempts)
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(again[0])), orchestrator.ErrNotHeld)
}

// What goes back keeps its place in the queue and its first deadline.
func TestATaskThatIsTakenBackKeepsItsPlace(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueued := func() orchestrator.Task { enqueue(t, ctx, c, "1", "2"); return get(t, ctx, c, "1") }()
	claim(t, ctx, c, 1)
	expire(t, ctx, db)
	exec(t, ctx, db, "update orchestrator.tasks set timeout_ms = 7200000 where id = '1'")
	require.Equal(t, []string{"1"}, ids(claim(t, ctx, c, 1)))
	_, err := c.Retry(ctx, "1")
	require.NoError(t, err)
	require.Equal(t, enqueued.CreatedAt.Add(2*time.Hour), get(t, ctx, c, "1").Deadline)
	queued, err := c.Queued(ctx, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, ids(queued))
}

// The end of one tenant's claims is nothing to another's.
func TestClaimTakesBackItsOwnTenantsTasksOnly(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	held(t, acme, c, "t")
	expire(t, acme, db)
	claim(t, globex, c, 0)
	require.Equal(t, orchestrator.TaskDequeued, get(t, acme, c, "t").Status)
}

// A worker that is just now finishing late wins: a claim does not wait for it.
func TestClaimDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "late")
	enqueue(t, ctx, c, "locked", "free")
	expire(t, ctx, db)
	tx, err := db.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "select from orchestrator.tasks where id in ('late', 'locked') for update")
	require.NoError(t, err)
	got, err := c.Claim(ctx, 10, "w")
	require.NoError(t, err)
	require.Equal(t, []string{"free"}, ids(got))
	require.NoError(t, tx.Rollback(ctx))
	require.ElementsMatch(t, []string{"late", "locked"}, ids(claim(t, ctx, c, 2)))
}

// A call takes back ten tasks more than the call asks for, the longest overdue first: the claims of
// many dead workers are the work of many callers.
func TestAClaimTakesBackAShare(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, status, attempts, max_attempts, deadline)
		select g::text, 'general', '', 'dequeued', 3, 3, now() - make_interval(secs => 2000 - g) from generate_series(1, 150) g`)
	claim(t, ctx, c, 0)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 11, s.Failed)
	require.Equal(t, orchestrator.TaskFailed, get(t, ctx, c, "11").Status)
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "12").Status)
	_, err = c.Claim(ctx, 1000, "w")
	require.NoError(t, err)
	s, err = c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 150, s.Failed)
}

// However far an assignment has come, it ends with the claim of its task.
func TestTheEndOfAClaimEndsEveryActiveAssignment(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "assigned", "acknowledged", "executing", "cancelled")
	for _, id := range []string{"assigned", "acknowledged", "executing", "cancelled"} {
		assign(t, ctx, c, assignment(id))
		if id != "assigned" {
			require.NoError(t, c.UpdateAssignment(ctx, "a-"+id, orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentStatus(id))}))
		}
	}
	expire(t, ctx, db)
	claim(t, ctx, c, 4)
	for _, id := range []string{"assigned", "acknowledged", "executing"} {
		require.Equal(t, orchestrator.AssignmentFailed, status(t, c, "a-"+id), id)
	}
	require.Equal(t, orchestrator.AssignmentCancelled, status(t, c, "a-cancelled"), "what has ended stays as it is")
}

func TestAClaimThatCanNotBeIsInvalid(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for field, claim := range map[string]orchestrator.Claimed{
		"held.attempts":    orchestrator.Held(orchestrator.Task{Attempts: 1 << 40}),
		"held.dequeued_at": orchestrator.Held(orchestrator.Task{DequeuedAt: &late}),
	} {
		_, failErr := c.Fail(ctx, "t", "why", true, claim)
		_, retryErr := c.Retry(ctx, "t", claim)
		_, assignErr := c.Assign(ctx, orchestrator.Assignment{TaskID: "t", AgentID: "a", AgentName: "A", AgentModelFamily: "m", Routing: orchestrator.Routing{Strategy: orchestrator.UCB}}, claim)
		for _, err := range []error{c.Complete(ctx, "t", claim), failErr, retryErr, assignErr} {
			require.ErrorIs(t, err, modules.ErrInvalid)
			require.ErrorContains(t, err, field)
		}
	}
}
