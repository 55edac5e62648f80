package orchestrator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func assignmentIDs(list []orchestrator.Assignment) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.ID)
	}
	return out
}

func TestActiveAssignmentsAreFiltered(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	none, err := c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{})
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)
	held(t, ctx, c, "1", "2", "3", "4")
	for i, id := range []string{"1", "2", "3", "4"} {
		assign(t, ctx, c, assignment(id, func(a *orchestrator.Assignment) {
			a.ID, a.AgentID, a.Timeout = id, []string{"ada", "bob"}[i%2], time.Duration(9-i)*time.Minute
		}))
	}
	require.NoError(t, c.UpdateAssignment(ctx, "2", orchestrator.AssignmentPatch{Status: ptr(orchestrator.Acknowledged)}))
	require.NoError(t, c.UpdateAssignment(ctx, "3", orchestrator.AssignmentPatch{Status: ptr(orchestrator.Executing)}))
	require.NoError(t, c.UpdateAssignment(ctx, "4", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentFailed)}))
	for _, w := range []struct {
		filter orchestrator.AssignmentFilter
		want   []string
	}{
		{orchestrator.AssignmentFilter{}, []string{"3", "2", "1"}},
		{orchestrator.AssignmentFilter{Limit: 2}, []string{"3", "2"}},
		{orchestrator.AssignmentFilter{AgentID: "ada"}, []string{"3", "1"}},
		{orchestrator.AssignmentFilter{AgentID: "bob"}, []string{"2"}},
		{orchestrator.AssignmentFilter{AgentID: "eve"}, []string{}},
		{orchestrator.AssignmentFilter{Status: orchestrator.Assigned}, []string{"1"}},
		{orchestrator.AssignmentFilter{Status: orchestrator.Acknowledged}, []string{"2"}},
		{orchestrator.AssignmentFilter{Status: orchestrator.Executing}, []string{"3"}},
		{orchestrator.AssignmentFilter{Status: orchestrator.Executing, AgentID: "bob"}, []string{}},
	} {
		got, err := c.ActiveAssignments(ctx, w.filter)
		require.NoError(t, err)
		require.Equal(t, w.want, assignmentIDs(got), "%+v", w.filter)
	}
	for must, filter := range map[string]orchestrator.AssignmentFilter{
		"limit must be from 1 to 1000":                      {Limit: 1001},
		"limit must be from 1":                              {Limit: -1},
		"agent_id must not be blank":                        {AgentID: " "},
		"status must be one of [assigned acknowledged exec": {Status: orchestrator.AssignmentFailed},
	} {
		_, err := c.ActiveAssignments(ctx, filter)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestOverdueAssignmentsAreTheActiveOnesPastTheirDeadline(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "1", "2", "3", "4")
	for _, id := range []string{"1", "2", "3", "4"} {
		assign(t, ctx, c, assignment(id, func(a *orchestrator.Assignment) { a.ID = id }))
	}
	none, err := c.OverdueAssignments(ctx)
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)
	require.NoError(t, c.UpdateAssignment(ctx, "4", orchestrator.AssignmentPatch{Status: ptr(orchestrator.AssignmentCancelled)}))
	exec(t, ctx, db, `update orchestrator.assignments set assigned_at = now() - interval '1 hour', deadline = now() - id::int * interval '1 second' where id <> '3'`)
	late, err := c.OverdueAssignments(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"2", "1"}, assignmentIDs(late))
}

func TestTheManagersNumbers(t *testing.T) {
	t.Parallel()
	require.Equal(t, 5*time.Second, orchestrator.AcknowledgeWithin)
	require.Equal(t, 5*time.Minute, orchestrator.MaxAssignmentTimeout)
	require.Equal(t, 30*time.Second, orchestrator.ProgressEvery)
	require.Equal(t, 3, orchestrator.MaxReassignments)
}

func TestActiveAssignmentsGoOnAfterOne(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	var want []string
	for i := range 7 {
		id := fmt.Sprint("t", i)
		held(t, ctx, c, id)
		want = append(want, assign(t, ctx, c, assignment(id)).ID)
	}
	// Groups of two share a deadline: the id breaks the tie.
	exec(t, ctx, db, "update orchestrator.assignments set deadline = timestamptz '2100-01-01' + right(id, 1)::int / 2 * interval '1 hour'")
	got := []string{}
	for f := (orchestrator.AssignmentFilter{AgentID: "ada", Limit: 3}); ; {
		page, err := c.ActiveAssignments(ctx, f)
		require.NoError(t, err)
		for _, a := range page {
			got = append(got, a.ID)
		}
		if len(page) < 3 {
			break
		}
		f.After = page[2].ID
	}
	require.Equal(t, want, got)
	_, err := c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{After: "missing"})
	require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound)
	_, err = c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{After: "\x00"})
	require.ErrorIs(t, err, modules.ErrInvalid)
}
