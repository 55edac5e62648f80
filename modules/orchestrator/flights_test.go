package orchestrator_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestEveryMethodIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, w := clienttest.Wired(t, "orchestrator", orchestrator.Migrations())
	c, err := orchestrator.New(orchestrator.Params{DB: db})
	require.NoError(t, err)
	ctx := as(t, "acme")
	require.NoError(t, c.SetConfig(t.Context(), "max_capacity", 100_000, nil, "test"))
	tasks := func(name string, n int) (out []orchestrator.Task) {
		for k := range n {
			out = append(out, task(fmt.Sprintf("%s of %d: %d", name, n, k)))
		}
		return out
	}
	// Each call that ends a task has one of its own.
	const calls = 5
	for i := range calls {
		held(t, ctx, c, fmt.Sprint("complete", i), fmt.Sprint("fail", i), fmt.Sprint("retry", i), fmt.Sprint("assign", i), fmt.Sprint("run", i))
		assign(t, ctx, c, assignment(fmt.Sprint("run", i)))
	}
	clienttest.Flights(t, w, c, map[string]func(i int) error{
		"Enqueue":                func(i int) error { return c.Enqueue(ctx, task(fmt.Sprint("enqueue", i))) },
		"EnqueueAll":             func(i int) error { return c.EnqueueAll(ctx, tasks(fmt.Sprint(i), 1)) },
		"EnqueueAll: of 500":     func(i int) error { return c.EnqueueAll(ctx, tasks(fmt.Sprint(i), 500)) },
		"Claim":                  func(int) error { _, err := c.Claim(ctx, 1, "worker"); return err },
		"Claim: of 100":          func(int) error { _, err := c.Claim(ctx, 100, "worker"); return err },
		"Complete":               func(i int) error { return c.Complete(ctx, fmt.Sprint("complete", i)) },
		"Fail":                   func(i int) error { _, err := c.Fail(ctx, fmt.Sprint("fail", i), "why", false); return err },
		"Retry":                  func(i int) error { _, err := c.Retry(ctx, fmt.Sprint("retry", i)); return err },
		"CancelQueued":           func(int) error { _, err := c.CancelQueued(ctx); return err },
		"Task":                   func(int) error { _, err := c.Task(ctx, "run0"); return err },
		"Queued":                 func(int) error { _, err := c.Queued(ctx, 0); return err },
		"QueuedPage":             func(int) error { _, err := c.QueuedPage(ctx, 0, ""); return err },
		"TimedOut":               func(int) error { _, err := c.TimedOut(ctx); return err },
		"TimedOutPage":           func(int) error { _, err := c.TimedOutPage(ctx, 0, ""); return err },
		"TasksPage":              func(int) error { _, err := c.TasksPage(ctx, orchestrator.TaskCompleted, 0, ""); return err },
		"SnapshotsPage":          func(int) error { _, err := c.SnapshotsPage(ctx, 0, ""); return err },
		"OverdueAssignmentsPage": func(int) error { _, err := c.OverdueAssignmentsPage(ctx, 0, ""); return err },
		"Stats":                  func(int) error { _, err := c.Stats(ctx); return err },
		"SnapshotStats":          func(int) error { return c.SnapshotStats(ctx) },
		"DeleteFinished":         func(int) error { _, err := c.DeleteFinished(ctx, 0); return err },
		"Config":                 func(int) error { _, err := c.Config(ctx); return err },
		"SetConfig":              func(i int) error { return c.SetConfig(t.Context(), "max_capacity", 100_000+i, nil, "test") },
		"Assign":                 func(i int) error { _, err := c.Assign(ctx, assignment(fmt.Sprint("assign", i))); return err },
		"Assignment":             func(int) error { _, err := c.Assignment(ctx, "a-run0"); return err },
		"ActiveAssignments":      func(int) error { _, err := c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{}); return err },
		"ActiveAssignmentsPage": func(int) error {
			_, err := c.ActiveAssignmentsPage(ctx, orchestrator.AssignmentFilter{})
			return err
		},
		"OverdueAssignments": func(int) error { _, err := c.OverdueAssignments(ctx); return err },
		"UpdateAssignment": func(i int) error {
			return c.UpdateAssignment(ctx, "a-run4", orchestrator.AssignmentPatch{Progress: ptr(0.1 * float64(i))})
		},
		"RecordExecution": func(i int) error { _, err := c.RecordExecution(ctx, execution(fmt.Sprint("run", i))); return err },
		"ExecutionsPage":  func(int) error { _, err := c.ExecutionsPage(ctx, "run0", 0, ""); return err },
		"Executions":      func(int) error { _, err := c.Executions(ctx, "run0"); return err },
		"CheckSchema":     func(int) error { return c.CheckSchema(ctx) },
		"Health":          func(int) error { return c.Health(ctx).Err },
		"Available":       func(int) error { c.Available(ctx); return nil },
		"ClientStats":     func(int) error { c.ClientStats(); return nil },
	}, map[string]int64{"CheckSchema": 2, "Available": 0, "ClientStats": 0})
}
