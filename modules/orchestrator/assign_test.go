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

func TestAssignReturnsWhatIsStored(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t", "t2")
	want := orchestrator.Assignment{
		ID: "a", TaskID: "t", AgentID: "ada", AgentName: "Ada", AgentModelFamily: "claude-3.5", Timeout: 90 * time.Second,
		Routing:  orchestrator.Routing{Confidence: ptr(0.75), Strategy: orchestrator.EpsilonGreedy, Reason: "it knows Go"},
		Metadata: map[string]any{"a": 1.0},
	}
	got := assign(t, ctx, c, want)
	require.WithinDuration(t, time.Now(), got.AssignedAt, time.Minute)
	want.Status, want.AssignedAt, want.LastProgressUpdate = orchestrator.Assigned, got.AssignedAt, got.AssignedAt
	want.Deadline = got.AssignedAt.Add(90 * time.Second)
	require.Equal(t, want, got)
	stored, err := c.Assignment(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, want, stored)

	// Less is enough.
	bare := assign(t, ctx, c, assignment("t2", func(a *orchestrator.Assignment) { a.ID = "" }))
	require.Len(t, bare.ID, 36)
	require.Nil(t, bare.Routing.Confidence)
	stored, err = c.Assignment(ctx, bare.ID)
	require.NoError(t, err)
	require.Equal(t, bare, stored)
	require.Equal(t, map[string]any{}, stored.Metadata)
	require.Equal(t, orchestrator.MaxAssignmentTimeout, stored.Timeout, "the task's hour is too long for an assignment")

	_, err = c.Assignment(ctx, "missing")
	require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound)
	require.ErrorIs(t, err, modules.ErrNotFound)
	_, err = c.Assignment(ctx, " ")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

// An assignment that names no timeout has its task's. The claim lasts until the
// later of both ends.
func TestTheClaimLastsAsLongAsTheAssignment(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.Enqueue(ctx, task("t", func(t *orchestrator.Task) { t.Timeout = time.Minute })))
	claimed := claim(t, ctx, c, 1)[0]
	a := assign(t, ctx, c, assignment("t"))
	require.Equal(t, time.Minute, a.Timeout)
	require.Equal(t, a.Deadline, get(t, ctx, c, "t").Deadline)
	require.False(t, a.Deadline.Before(claimed.Deadline))

	require.NoError(t, c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentFailed)}))
	long := assign(t, ctx, c, assignment("t", func(a *orchestrator.Assignment) { a.ID, a.Timeout = "long", 24*time.Hour }))
	require.Equal(t, long.AssignedAt.Add(24*time.Hour), get(t, ctx, c, "t").Deadline)
	require.NoError(t, c.UpdateAssignment(ctx, "long", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentFailed)}))
	assign(t, ctx, c, assignment("t", func(a *orchestrator.Assignment) { a.ID, a.Timeout = "short", time.Second }))
	require.Equal(t, long.Deadline, get(t, ctx, c, "t").Deadline, "a claim is not shortened")
}

func TestAssignNeedsAClaimedTaskThatNobodyHas(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	claimed := held(t, ctx, c, "t", "t2", "done")
	require.NoError(t, c.Complete(ctx, "done"))
	assign(t, ctx, c, assignment("t"))
	_, err := c.Assign(ctx, assignment("t", func(a *orchestrator.Assignment) { a.ID = "second" }))
	require.ErrorIs(t, err, orchestrator.ErrAssigned)
	require.ErrorIs(t, err, modules.ErrConflict)
	require.EqualError(t, err, "orchestrator: assign: the task is assigned already")
	for _, status := range []orchestrator.AssignmentStatus{orchestrator.Acknowledged, orchestrator.Executing} {
		require.NoError(t, c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: &status}))
		_, err = c.Assign(ctx, assignment("t", func(a *orchestrator.Assignment) { a.ID = "second" }))
		require.ErrorIs(t, err, orchestrator.ErrAssigned, status)
	}
	_, err = c.Assign(ctx, assignment("t2", func(a *orchestrator.Assignment) { a.ID = "a-t" }))
	require.ErrorIs(t, err, modules.ErrConflict)
	require.NotErrorIs(t, err, orchestrator.ErrAssigned, "the id is taken, not the task")
	_, err = c.Assign(ctx, assignment("missing"))
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	enqueue(t, ctx, c, "queued")
	for _, id := range []string{"queued", "done"} {
		_, err = c.Assign(ctx, assignment(id))
		require.ErrorIs(t, err, orchestrator.ErrStatus, id)
	}
	_, err = c.Assign(ctx, assignment("t2"), orchestrator.Held(claimed[0]), orchestrator.Held(claimed[1]))
	require.NoError(t, err)

	won := 0
	held(t, ctx, c, "queued 2") // and "queued" with it
	for _, err := range together(20, func(int) error {
		_, err := c.Assign(ctx, assignment("queued", func(a *orchestrator.Assignment) { a.ID = "" }))
		return err
	}) {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, orchestrator.ErrAssigned)
	}
	require.Equal(t, 1, won)
}

func TestAssignRefuses(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	for must, change := range map[string]func(*orchestrator.Assignment){
		"id must not be blank":                         func(a *orchestrator.Assignment) { a.ID = " " },
		"task_id must not be blank":                    func(a *orchestrator.Assignment) { a.TaskID = "" },
		"agent_id must not be blank":                   func(a *orchestrator.Assignment) { a.AgentID = "" },
		"agent_name must be at most 255 bytes":         func(a *orchestrator.Assignment) { a.AgentName = strings.Repeat("x", 256) },
		"agent_model_family must be at most 50 bytes":  func(a *orchestrator.Assignment) { a.AgentModelFamily = strings.Repeat("x", 51) },
		"timeout must be whole milliseconds":           func(a *orchestrator.Assignment) { a.Timeout = 1 },
		"routing.confidence must be from 0 to 1":       func(a *orchestrator.Assignment) { a.Routing.Confidence = ptr(math.NaN()) },
		"routing.strategy must be one of [epsilon-gre": func(a *orchestrator.Assignment) { a.Routing.Strategy = "" },
		"routing.reason must be text":                  func(a *orchestrator.Assignment) { a.Routing.Reason = "\x00" },
		"metadata must be what JSON can hold":          func(a *orchestrator.Assignment) { a.Metadata = map[string]any{"a": math.Inf(1)} },
	} {
		_, err := c.Assign(ctx, assignment("t", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	var n int
	scan(t, ctx, db, "select count(*) from orchestrator.assignments", &n)
	require.Zero(t, n)
	for _, strategy := range []orchestrator.Strategy{orchestrator.EpsilonGreedy, orchestrator.UCB, orchestrator.CapabilityMatch, orchestrator.LoadBalance} {
		a := assign(t, ctx, c, assignment("t", func(a *orchestrator.Assignment) {
			a.ID, a.Timeout, a.Routing = "", time.Millisecond, orchestrator.Routing{Strategy: strategy, Confidence: ptr(1.0)}
		}))
		require.NoError(t, c.UpdateAssignment(ctx, a.ID, orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentCancelled)}))
	}
}

func TestUpdateAssignmentChangesWhatThePatchNames(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	want := assign(t, ctx, c, assignment("t", func(a *orchestrator.Assignment) { a.Metadata = map[string]any{"a": "b"} }))
	patch := func(p orchestrator.AssignmentPatch) orchestrator.Assignment {
		t.Helper()
		require.NoError(t, c.UpdateAssignment(ctx, "a-t", p))
		got, err := c.Assignment(ctx, "a-t")
		require.NoError(t, err)
		return got
	}
	require.Equal(t, want, patch(orchestrator.AssignmentPatch{}))

	got := patch(orchestrator.AssignmentPatch{Status: ptr(orchestrator.Acknowledged)})
	require.NotNil(t, got.AcknowledgedAt)
	want.Status, want.AcknowledgedAt = orchestrator.Acknowledged, got.AcknowledgedAt
	require.Equal(t, want, got)
	require.Equal(t, want, patch(orchestrator.AssignmentPatch{Status: ptr(orchestrator.Acknowledged)}), "the same again keeps its time")

	got = patch(orchestrator.AssignmentPatch{Status: ptr(orchestrator.Executing), Progress: ptr(0.25)})
	require.NotNil(t, got.StartedAt)
	require.True(t, got.LastProgressUpdate.After(want.LastProgressUpdate))
	want.Status, want.StartedAt, want.Progress, want.LastProgressUpdate = orchestrator.Executing, got.StartedAt, 0.25, got.LastProgressUpdate
	require.Equal(t, want, got)
	require.Equal(t, want, patch(orchestrator.AssignmentPatch{Status: ptr(orchestrator.Executing)}))

	got = patch(orchestrator.AssignmentPatch{Error: ptr("slow"), ErrorCode: ptr(strings.Repeat("c", 100)), Metadata: map[string]any{"c": 1.0}})
	want.Error, want.ErrorCode, want.Metadata = ptr("slow"), ptr(strings.Repeat("c", 100)), map[string]any{"c": 1.0}
	require.Equal(t, want, got)

	got = patch(orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentCompleted), Progress: ptr(1.0)})
	require.NotNil(t, got.CompletedAt)
	want.Status, want.CompletedAt, want.Progress, want.LastProgressUpdate = orchestrator.AssignmentCompleted, got.CompletedAt, 1, got.LastProgressUpdate
	require.Equal(t, want, got)
	require.Equal(t, orchestrator.TaskCompleted, get(t, ctx, c, "t").Status)

	err := c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Progress: ptr(0.5)})
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	require.ErrorContains(t, err, "assignment is completed")
	err = c.UpdateAssignment(ctx, "missing", orchestrator.AssignmentPatch{})
	require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound)
}

func TestAnAssignmentGoesForwardsOnly(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	all := []orchestrator.AssignmentStatus{
		orchestrator.Assigned, orchestrator.Acknowledged, orchestrator.Executing,
		orchestrator.AssignmentCompleted, orchestrator.AssignmentFailed, orchestrator.AssignmentCancelled,
	}
	for i, from := range all {
		for j, to := range all {
			exec(t, ctx, db, "update orchestrator.assignments set completed_at = null, status = '"+string(from)+"'")
			err := c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Status: &to})
			if i < 3 && i <= j {
				require.NoError(t, err, "%s to %s", from, to)
				got, err := c.Assignment(ctx, "a-t")
				require.NoError(t, err)
				require.Equal(t, to, got.Status)
				require.Equal(t, j >= 3, got.CompletedAt != nil)
				continue
			}
			require.ErrorIs(t, err, orchestrator.ErrStatus, "%s to %s", from, to)
			require.Equal(t, from, status(t, c, "a-t"))
		}
	}
}

func TestUpdateAssignmentRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "t")
	want := assign(t, ctx, c, assignment("t"))
	for must, patch := range map[string]orchestrator.AssignmentPatch{
		"status must be one of [assigned":        {Status: ptr(orchestrator.AssignmentStatus("pending"))},
		"progress must be from 0 to 1":           {Progress: ptr(1.01)},
		"error must be text":                     {Error: ptr("\x00")},
		"error_code must be at most 100 bytes":   {ErrorCode: ptr(strings.Repeat("c", 101))},
		"error_code must be text":                {ErrorCode: ptr("\xff")},
		"metadata must not hold the NUL charact": {Metadata: map[string]any{"a": "\x00"}},
	} {
		err := c.UpdateAssignment(ctx, "a-t", patch)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.ErrorIs(t, c.UpdateAssignment(ctx, "", orchestrator.AssignmentPatch{}), modules.ErrInvalid)
	got, err := c.Assignment(ctx, "a-t")
	require.NoError(t, err)
	require.Equal(t, want, got)
}
