package orchestrator_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func execution(taskID string, change ...func(*orchestrator.Execution)) orchestrator.Execution {
	e := orchestrator.Execution{TaskID: taskID, AgentID: "ada", AgentName: "Ada"}
	for _, fn := range change {
		fn(&e)
	}
	return e
}

// ended makes an execution one that has ended now.
func ended(success bool) func(*orchestrator.Execution) {
	return func(e *orchestrator.Execution) { e.CompletedAt, e.Success = ptr(time.Now()), &success }
}

func record(t testing.TB, c *orchestrator.Client, e orchestrator.Execution) string {
	t.Helper()
	id, err := c.RecordExecution(as(t, "acme"), e)
	require.NoError(t, err)
	require.Len(t, id, 36)
	return id
}

func history(t testing.TB, c *orchestrator.Client, taskID string) []orchestrator.Execution {
	t.Helper()
	all, err := c.Executions(as(t, "acme"), taskID)
	require.NoError(t, err)
	return all
}

func TestARunBeginsAndEnds(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "other")
	a := assign(t, ctx, c, assignment("t"))
	assign(t, ctx, c, assignment("other"))
	none := history(t, c, "t")
	require.NotNil(t, none)
	require.Empty(t, none)

	id := record(t, c, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	want := orchestrator.Execution{
		ID: id, TaskID: "t", AssignmentID: "a-t", Attempt: 1, StartedAt: a.AssignedAt, AgentID: "ada", AgentName: "Ada",
		Violations: []any{}, Metadata: map[string]any{},
	}
	require.Equal(t, []orchestrator.Execution{want}, history(t, c, "t"))
	running, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, orchestrator.Executing, running.Status)
	require.NotNil(t, running.StartedAt)
	require.Nil(t, running.CompletedAt)
	require.Equal(t, orchestrator.Assigned, status(t, c, "a-other"))
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "t").Status)
	var duration *int64
	scan(t, ctx, db, "select execution_time_ms from orchestrator.executions", &duration)
	require.Nil(t, duration, "it is not known yet")

	want.CompletedAt, want.Success, want.Quality, want.Tokens = ptr(a.AssignedAt.Add(1500*time.Millisecond)), ptr(true), ptr(0.5), ptr(77)
	want.PolicyPassed, want.Violations, want.FilesUsed, want.LinesUsed = ptr(false), []any{"one", map[string]any{"a": 1.0}}, ptr(2), ptr(300)
	want.Metadata = map[string]any{"k": "v"}
	require.Equal(t, id, record(t, c, want))
	want.Duration = 1500 * time.Millisecond
	require.Equal(t, []orchestrator.Execution{want}, history(t, c, "t"))
	done := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskCompleted, done.Status)
	require.NotNil(t, done.CompletedAt)
	require.Nil(t, done.LastError)
	finished, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, orchestrator.AssignmentCompleted, finished.Status)
	require.Equal(t, running.StartedAt, finished.StartedAt)
	require.Equal(t, done.CompletedAt, finished.CompletedAt)
	require.Nil(t, finished.Error)
	require.Equal(t, orchestrator.Assigned, status(t, c, "a-other"))
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "other").Status)

	_, err = c.RecordExecution(ctx, want)
	require.ErrorIs(t, err, orchestrator.ErrNotHeld, "what has ended stays as it is")
}

func TestARunOfAnAssignmentKnowsItsAgent(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	require.NoError(t, c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: ptr(orchestrator.Executing)}))
	a, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	first := record(t, c, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t", Attempt: 4})
	began := a.StartedAt.Add(time.Second)
	second := record(t, c, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t", AgentID: "bob", AgentName: "Bob", StartedAt: began})
	runs := history(t, c, "t")
	require.Equal(t, []string{first, second}, []string{runs[0].ID, runs[1].ID}, "the earliest first")
	require.Equal(t, []any{"ada", "Ada", 4, *a.StartedAt}, []any{runs[0].AgentID, runs[0].AgentName, runs[0].Attempt, runs[0].StartedAt})
	require.Equal(t, []any{"bob", "Bob", 1, began}, []any{runs[1].AgentID, runs[1].AgentName, runs[1].Attempt, runs[1].StartedAt})
	again, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, a.StartedAt, again.StartedAt, "the assignment began once")
}

func TestARunWithoutAnAssignment(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	claimed := held(t, ctx, c, "t", "t2")
	assign(t, ctx, c, assignment("t2"))
	id := "00000000-0000-0000-0000-0000000000aa"
	require.Equal(t, id, record(t, c, execution("t", ended(true), func(e *orchestrator.Execution) {
		e.ID, e.Attempt, e.Duration = id, 1, 1500*time.Microsecond+2*time.Second
	})))
	run := history(t, c, "t")[0]
	require.Equal(t, 2001*time.Millisecond, run.Duration, "the caller's own measure")
	require.Equal(t, *claimed[0].DequeuedAt, run.StartedAt)
	require.Empty(t, run.AssignmentID)
	require.Equal(t, orchestrator.TaskCompleted, get(t, ctx, c, "t").Status)

	// It ends the task's assignment too, but does not begin it.
	record(t, c, execution("t2"))
	require.Equal(t, orchestrator.Assigned, status(t, c, "a-t2"))
	record(t, c, execution("t2", ended(true)))
	require.Equal(t, orchestrator.AssignmentCompleted, status(t, c, "a-t2"))
	require.Len(t, history(t, c, "t2"), 2)
}

func TestARunThatFails(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.Enqueue(ctx, task("t", func(t *orchestrator.Task) { t.MaxAttempts = 2 })))
	created := get(t, ctx, c, "t")
	claim(t, ctx, c, 1)
	assign(t, ctx, c, assignment("t"))
	failed := func(e *orchestrator.Execution) { e.Error, e.Retry = ptr("no disk"), true }
	record(t, c, execution("t", ended(false), failed))
	got := get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskQueued, got.Status)
	require.Nil(t, got.CompletedAt)
	require.Equal(t, "no disk", *got.LastError)
	require.Equal(t, created.Deadline, got.Deadline)
	a, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, orchestrator.AssignmentFailed, a.Status)
	require.Equal(t, "no disk", *a.Error)
	require.NotNil(t, a.CompletedAt)

	claim(t, ctx, c, 1)
	record(t, c, execution("t", ended(false), func(e *orchestrator.Execution) { e.Retry = true }))
	got = get(t, ctx, c, "t")
	require.Equal(t, orchestrator.TaskFailed, got.Status, "no attempts are left")
	require.NotNil(t, got.CompletedAt)
	require.Equal(t, "no disk", *got.LastError, "a run without an error's text keeps the one before")
	runs := history(t, c, "t")
	require.Equal(t, []int{1, 2}, []int{runs[0].Attempt, runs[1].Attempt})
	require.Equal(t, "no disk", *runs[0].Error)
	require.False(t, *runs[0].Success)
	require.Nil(t, runs[1].Error)

	// Without Retry it fails at once; with success Retry means nothing.
	held(t, ctx, c, "t2", "t3")
	record(t, c, execution("t2", ended(false)))
	require.Equal(t, orchestrator.TaskFailed, get(t, ctx, c, "t2").Status)
	record(t, c, execution("t3", ended(true), failed))
	got = get(t, ctx, c, "t3")
	require.Equal(t, orchestrator.TaskCompleted, got.Status)
	require.Nil(t, got.LastError)
	require.NotNil(t, got.CompletedAt)
}

func TestARunMustBeOfTheClaimThatLasts(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "t2")
	assign(t, ctx, c, assignment("t"))
	assign(t, ctx, c, assignment("t2"))
	for name, e := range map[string]orchestrator.Execution{
		"a missing assignment": execution("t", func(e *orchestrator.Execution) { e.AssignmentID = "x" }),
		"another task's":       execution("t", func(e *orchestrator.Execution) { e.AssignmentID = "a-t2" }),
	} {
		_, err := c.RecordExecution(ctx, e)
		require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound, name)
	}
	_, err := c.RecordExecution(ctx, execution("missing"))
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.RecordExecution(ctx, execution("t", func(e *orchestrator.Execution) { e.Attempt = 2 }))
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)
	enqueue(t, ctx, c, "queued")
	_, err = c.RecordExecution(ctx, execution("queued"))
	require.ErrorIs(t, err, orchestrator.ErrNotHeld)

	require.NoError(t, c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentFailed)}))
	_, err = c.RecordExecution(ctx, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	require.ErrorIs(t, err, orchestrator.ErrNotHeld, "its assignment has ended")
	require.Empty(t, history(t, c, "t"))

	// An id is one run's: that of another assignment or task, or of a run that has
	// ended, is not changed.
	id := record(t, c, execution("t2"))
	for name, e := range map[string]orchestrator.Execution{
		"another task":       execution("t", ended(true), func(e *orchestrator.Execution) { e.ID = id }),
		"another assignment": {ID: id, TaskID: "t2", AssignmentID: "a-t2"},
	} {
		_, err := c.RecordExecution(ctx, e)
		require.ErrorIs(t, err, orchestrator.ErrStatus, name)
		require.ErrorContains(t, err, "execution is ended or another's")
	}
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "t").Status)
	require.Equal(t, orchestrator.Assigned, status(t, c, "a-t2"))
	record(t, c, execution("t2", ended(false), func(e *orchestrator.Execution) { e.ID, e.Retry = id, true }))
	_, err = c.Claim(ctx, 10, "worker")
	require.NoError(t, err)
	_, err = c.RecordExecution(ctx, execution("t2", ended(true), func(e *orchestrator.Execution) { e.ID = id }))
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "t2").Status)
}

// Clocks differ: a run does not take less than no time.
func TestADurationIsNotNegative(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "t2")
	before := func(d time.Duration) func(*orchestrator.Execution) {
		return func(e *orchestrator.Execution) { e.CompletedAt = ptr(time.Now().Add(-d)) }
	}
	refused := func(e orchestrator.Execution) {
		t.Helper()
		_, err := c.RecordExecution(ctx, e)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, "completed_at must not be before started_at")
	}
	noTime := func(task string) {
		t.Helper()
		run := history(t, c, task)[0]
		require.Zero(t, run.Duration)
		require.Equal(t, run.StartedAt, *run.CompletedAt)
	}
	refused(execution("t", ended(true), before(time.Hour)))
	record(t, c, execution("t", ended(true), before(4*time.Minute)))
	noTime("t")
	id := record(t, c, execution("t2"))
	begun := func(e *orchestrator.Execution) { e.ID = id }
	refused(execution("t2", ended(true), before(time.Hour), begun))
	record(t, c, execution("t2", ended(true), before(4*time.Minute), begun))
	noTime("t2")
}

// A run from 1700 to 2026 had a negative duration.
func TestARunTakesACenturyAtMost(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	_, err := c.RecordExecution(ctx, execution("t", func(e *orchestrator.Execution) {
		e.StartedAt = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)
	}))
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "started_at must be at most 876000 h ago")
}

func TestARunThatBeganMayBringItsDuration(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	id := record(t, c, execution("t"))
	record(t, c, execution("t", ended(true), func(e *orchestrator.Execution) { e.ID, e.Duration = id, 42*time.Second }))
	require.Equal(t, 42*time.Second, history(t, c, "t")[0].Duration)
}

func TestRecordExecutionRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	now := time.Now()
	for must, change := range map[string]func(*orchestrator.Execution){
		"id must be a UUID":                                       func(e *orchestrator.Execution) { e.ID = "x" },
		"task_id must not be blank":                               func(e *orchestrator.Execution) { e.TaskID = "" },
		"assignment_id must not be blank":                         func(e *orchestrator.Execution) { e.AssignmentID = " " },
		"attempt must be from 0":                                  func(e *orchestrator.Execution) { e.Attempt = -1 },
		"duration must not be negative":                           func(e *orchestrator.Execution) { e.Duration = -1 },
		"success must be set when completed_at is, and only then": func(e *orchestrator.Execution) { e.CompletedAt = &now },
		"success must be set when completed_at is":                func(e *orchestrator.Execution) { e.Success = ptr(true) },
		"completed_at must not be before started_at": func(e *orchestrator.Execution) {
			e.StartedAt, e.CompletedAt, e.Success = now, ptr(now.Add(-1)), ptr(true)
		},
		"agent_id must not be blank":                func(e *orchestrator.Execution) { e.AgentID = "" },
		"agent_id must be at most 255 bytes":        func(e *orchestrator.Execution) { e.AgentID, e.AssignmentID = strings.Repeat("x", 256), "a" },
		"agent_name must not be blank":              func(e *orchestrator.Execution) { e.AgentName = "" },
		"agent_name must be at most 255 bytes":      func(e *orchestrator.Execution) { e.AgentName, e.AssignmentID = strings.Repeat("x", 256), "a" },
		"error must be text":                        func(e *orchestrator.Execution) { e.Error = ptr("\x00") },
		"quality must be from 0 to 1":               func(e *orchestrator.Execution) { e.Quality = ptr(-0.1) },
		"tokens must be from 0":                     func(e *orchestrator.Execution) { e.Tokens = ptr(-1) },
		"files_used must be from 0":                 func(e *orchestrator.Execution) { e.FilesUsed = ptr(-1) },
		"lines_used must be from 0 to 2147483647":   func(e *orchestrator.Execution) { e.LinesUsed = ptr(math.MaxInt32 + 1) },
		"violations must be what JSON can hold":     func(e *orchestrator.Execution) { e.Violations = []any{math.NaN()} },
		"metadata must not hold the NUL character":  func(e *orchestrator.Execution) { e.Metadata = map[string]any{"a": "\x00"} },
		"violations must not hold the NUL characte": func(e *orchestrator.Execution) { e.Violations = []any{"\x00"} },
	} {
		_, err := c.RecordExecution(ctx, execution("t", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	_, err := c.Executions(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.Empty(t, history(t, c, "t"))
	record(t, c, execution("t", func(e *orchestrator.Execution) {
		e.StartedAt, e.CompletedAt, e.Success, e.Quality, e.Tokens = now, &now, ptr(true), ptr(1.0), ptr(0)
	}))
}

func TestExecutionsAreBounded(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "t2")
	exec(t, ctx, db, `insert into orchestrator.executions (task_id, started_at, agent_id, agent_name)
		select 't', now() - make_interval(secs => g), 'a', 'a' from generate_series(1, 1100) g`)
	record(t, c, execution("t2"))
	runs := history(t, c, "t")
	require.Len(t, runs, 1000)
	require.True(t, runs[0].StartedAt.Before(runs[999].StartedAt))
	other := history(t, c, "t2")
	require.Len(t, other, 1)

	last, err := c.ExecutionsPage(ctx, "t", 1000, runs[999].ID)
	require.NoError(t, err)
	require.Len(t, last.Items, 100)
	require.Empty(t, last.Next)
	require.True(t, runs[999].StartedAt.Before(last.Items[0].StartedAt))
	behind, err := c.ExecutionsPage(ctx, "t", 0, last.Items[99].ID)
	require.NoError(t, err)
	require.Empty(t, behind.Items)
	for _, missing := range []string{"missing", other[0].ID} {
		_, err = c.ExecutionsPage(ctx, "t", 0, missing)
		require.ErrorIs(t, err, orchestrator.ErrExecutionNotFound, missing)
	}
	_, err = c.ExecutionsPage(ctx, "t", 0, "\x00")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

// The database's clock decides; a worker's may be a little fast.
func TestNoExecutionIsOfTheFuture(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	for field, change := range map[string]func(*orchestrator.Execution){
		"started_at":   func(e *orchestrator.Execution) { e.StartedAt = time.Now().Add(time.Hour) },
		"completed_at": func(e *orchestrator.Execution) { e.CompletedAt, e.Success = ptr(time.Now().Add(time.Hour)), ptr(true) },
	} {
		_, err := c.RecordExecution(ctx, execution("t", change))
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field+" must not be more than 5m0s ahead of the database's clock")
	}
	require.Empty(t, history(t, c, "t"))
	require.Equal(t, orchestrator.TaskDequeued, get(t, ctx, c, "t").Status)
	record(t, c, execution("t", func(e *orchestrator.Execution) {
		e.CompletedAt, e.Success = ptr(time.Now().Add(4*time.Minute)), ptr(true)
	}))
}
