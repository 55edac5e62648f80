package orchestrator_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

// status returns an assignment's.
func status(t testing.TB, c *orchestrator.Client, id string) orchestrator.AssignmentStatus {
	t.Helper()
	a, err := c.Assignment(as(t, "acme"), id)
	require.NoError(t, err)
	return a.Status
}

func TestCompleteEndsATaskAndItsAssignment(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "other")
	assign(t, ctx, c, assignment("t"))
	assign(t, ctx, c, assignment("other"))
	before := get(t, ctx, c, "t")
	require.NoError(t, c.Complete(ctx, "t"))
	got := get(t, ctx, c, "t")
	require.WithinDuration(t, time.Now(), *got.CompletedAt, time.Minute)
	before.Status, before.CompletedAt = orchestrator.TaskCompleted, got.CompletedAt
	require.Equal(t, before, got)
	a, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, orchestrator.AssignmentCompleted, a.Status)
	require.Equal(t, *got.CompletedAt, *a.CompletedAt)
	require.Nil(t, a.Error)
	require.Equal(t, orchestrator.Assigned, status(t, c, "a-other"), "another task's assignment goes on")

	err = c.Complete(ctx, "t")
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	require.ErrorIs(t, err, modules.ErrConflict)
	require.EqualError(t, err, "orchestrator: complete: task is completed: its status does not allow this")
	require.ErrorIs(t, c.Complete(ctx, "missing"), orchestrator.ErrTaskNotFound)
	require.ErrorIs(t, c.Complete(ctx, ""), modules.ErrInvalid)
	enqueue(t, ctx, c, "queued")
	require.ErrorIs(t, c.Complete(ctx, "queued"), orchestrator.ErrStatus)
	require.Equal(t, orchestrator.TaskQueued, get(t, ctx, c, "queued").Status)
}

func TestFailWithoutATextStoresNone(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	_, err := c.Fail(ctx, "t", "", false)
	require.NoError(t, err)
	a, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Nil(t, a.Error)
	require.Nil(t, get(t, ctx, c, "t").LastError)
}

func TestFailWithoutRetry(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	requeued, err := c.Fail(ctx, "t", "no disk", false)
	require.NoError(t, err)
	require.False(t, requeued)
	got := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskFailed, got.Status)
	require.Equal(t, "no disk", *got.LastError)
	require.NotNil(t, got.CompletedAt)
	require.Equal(t, map[string]any{}, got.Metadata, "the error has a column of its own")
	a, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, orchestrator.AssignmentFailed, a.Status)
	require.Equal(t, "no disk", *a.Error)

	_, err = c.Fail(ctx, "t", "again", true)
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	_, err = c.Fail(ctx, "missing", "", true)
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.Fail(ctx, "t", "\x00", true)
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "error_text")
}

func TestFailWithRetryGoesBackWhileAttemptsAreLeft(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.Enqueue(ctx, task("t", func(t *orchestrator.Task) { t.MaxAttempts = 2 })))
	created := get(t, ctx, c, "t")
	claim(t, ctx, c, 1)
	assign(t, ctx, c, assignment("t"))
	requeued, err := c.Fail(ctx, "t", "first", true)
	require.NoError(t, err)
	require.True(t, requeued)
	got := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskQueued, got.Status)
	require.Equal(t, "first", *got.LastError)
	require.Equal(t, 1, got.Attempts)
	require.Nil(t, got.CompletedAt)
	require.Equal(t, created.Deadline, got.Deadline)
	require.Equal(t, orchestrator.AssignmentFailed, status(t, c, "a-t"))

	again := claim(t, ctx, c, 1)[0]
	require.Equal(t, 2, again.Attempts)
	requeued, err = c.Fail(ctx, "t", "second", true, orchestrator.Held(again))
	require.NoError(t, err)
	require.False(t, requeued, "both attempts are used")
	got = get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskFailed, got.Status)
	require.Equal(t, "second", *got.LastError)
	require.NotNil(t, got.CompletedAt)
}

func TestRetryPutsATaskBackIntoTheQueue(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	attempts, err := c.Retry(ctx, "t")
	require.NoError(t, err)
	require.Equal(t, 1, attempts)
	require.Equal(t, orchestrator.AssignmentCancelled, status(t, c, "a-t"))
	got := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskQueued, got.Status)
	require.Nil(t, got.LastError)
	_, err = c.Retry(ctx, "t")
	require.ErrorIs(t, err, orchestrator.ErrStatus, "it is queued already")

	// From failed, too; the error of before stays until there is another.
	claim(t, ctx, c, 1)
	_, err = c.Fail(ctx, "t", "why", false)
	require.NoError(t, err)
	attempts, err = c.Retry(ctx, "t")
	require.NoError(t, err)
	require.Equal(t, 2, attempts)
	got = get(t, ctx, c, "t")
	require.Equal(t, "why", *got.LastError)
	require.Nil(t, got.CompletedAt)

	last := claim(t, ctx, c, 1)[0]
	attempts, err = c.Retry(ctx, "t", orchestrator.Held(last))
	require.ErrorIs(t, err, orchestrator.ErrNoAttempts)
	require.ErrorIs(t, err, modules.ErrConflict)
	require.Zero(t, attempts)
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "t").Status)
	require.NoError(t, c.Complete(ctx, "t", orchestrator.Held(last)))
	_, err = c.Retry(ctx, "t")
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	attempts, err = c.Retry(ctx, "missing")
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound, "not 0 without an error")
	require.Zero(t, attempts)
}

func TestHeldIsTheClaimAndNoOther(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	first := held(t, ctx, c, "t")[0]
	_, err := c.Retry(ctx, "t", orchestrator.Held(first))
	require.NoError(t, err)
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(first)), orchestrator.ErrNotHeld, "it was given back")
	second := claim(t, ctx, c, 1)[0]
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(first)), orchestrator.ErrNotHeld)
	// A clock may show the same time twice: then the attempts distinguish the claims.
	twin := second
	twin.Attempts = first.Attempts
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(twin)), orchestrator.ErrNotHeld)

	// Attempts may be set anew: then the time distinguishes the claims.
	_, err = c.Retry(ctx, "t")
	require.NoError(t, err)
	exec(t, ctx, db, "update orchestrator.tasks set attempts = 1")
	third := claim(t, ctx, c, 1)[0]
	require.Equal(t, second.Attempts, third.Attempts)
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(second)), orchestrator.ErrNotHeld)
	require.NoError(t, c.Complete(ctx, "t", orchestrator.Held(third)))
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(third)), orchestrator.ErrNotHeld)
	require.ErrorIs(t, c.Complete(ctx, "missing", orchestrator.Held(third)), orchestrator.ErrTaskNotFound)
	require.ErrorIs(t, c.Complete(ctx, "t", orchestrator.Held(orchestrator.Task{})), orchestrator.ErrNotHeld)
}

// An end that meets an assignment being made ends it too, once it is there.
func TestTheEndOfATaskSeesAnAssignmentMadeMeanwhile(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*orchestrator.Client) error{
		"complete": func(c *orchestrator.Client) error { return c.Complete(as(t, "acme"), "t") },
		"record": func(c *orchestrator.Client) error {
			_, err := c.RecordExecution(as(t, "acme"), orchestrator.Execution{
				TaskID: "t", AgentID: "ada", AgentName: "Ada", CompletedAt: ptr(time.Now()), Success: ptr(true),
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, db := newClient(t)
			ctx := as(t, "acme")
			held(t, ctx, c, "t")
			require.NoError(t, while(t, ctx, db, func() error { return end(c) },
				"select from orchestrator.tasks where id = 't' for no key update",
				`insert into orchestrator.assignments (id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms, routing_strategy)
				values ('a-t', 't', 'a', 'a', 'a', now() + interval '1 hour', 1, 'ucb')`))
			require.Equal(t, orchestrator.AssignmentCompleted, status(t, c, "a-t"))
		})
	}
}

func TestATaskIsEndedOnce(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	ended := 0
	for _, err := range together(20, func(i int) error {
		if i%2 == 0 {
			return c.Complete(ctx, "t")
		}
		_, err := c.Fail(ctx, "t", "why", false)
		return err
	}) {
		if err == nil {
			ended++
			continue
		}
		require.ErrorIs(t, err, orchestrator.ErrStatus)
	}
	require.Equal(t, 1, ended)
}

func TestCancelQueued(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	n, err := c.CancelQueued(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	held(t, ctx, c, "claimed")
	enqueue(t, ctx, c, "1", "2")
	enqueue(t, as(t, "globex"), c, "theirs")
	n, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	got := get(t, ctx, c, "1")
	require.Equal(t, orchestrator.TaskCancelled, got.Status)
	require.WithinDuration(t, time.Now(), *got.CompletedAt, time.Minute)
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "claimed").Status)
	require.Equal(t, orchestrator.TaskQueued, get(t, as(t, "globex"), c, "theirs").Status)
	claim(t, ctx, c, 0)
}

// What is claimed while a cancel waits for it is not cancelled.
func TestCancelQueuedLeavesWhatIsClaimedMeanwhile(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "1", "2")
	var n int64
	require.NoError(t, while(t, ctx, db, func() (err error) { n, err = c.CancelQueued(ctx); return err },
		"update orchestrator.tasks set status = 'dequeued' where id = '1'"))
	require.EqualValues(t, 1, n)
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "1").Status)
	require.Equal(t, orchestrator.TaskCancelled, get(t, ctx, c, "2").Status)
}

// Tasks are locked in the order of their ids, whatever their places: whoever waits
// for one holds none that comes after it.
func TestCancelQueuedDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "z", "m", "a")
	result := make(chan error, 1)
	owner := testkit.OwnerPool(t, db)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select from orchestrator.tasks where id = 'a' for update"); err != nil {
			return err
		}
		go func() { _, err := c.CancelQueued(ctx); result <- err }()
		require.Eventually(t, func() bool {
			var waits bool
			err := owner.QueryRow(t.Context(), `select exists (select from pg_locks l join pg_stat_activity a using (pid)
				where not l.granted and a.datname = current_database())`).Scan(&waits)
			return err == nil && waits
		}, 10*time.Second, 5*time.Millisecond, "nobody waits for the task")
		_, err := tx.Exec(ctx, "select from orchestrator.tasks where id = 'z' for update nowait")
		return err
	}))
	require.NoError(t, <-result)
}
