package orchestrator_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

// deep adds 6000 queued, 1000 claimed and 1000 completed tasks.
func deep(t testing.TB, ctx context.Context, db *fxdb.DB) {
	t.Helper()
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, priority, status, attempts, max_attempts, dequeued_at, completed_at, deadline)
		select 't' || g, 'general', '', 1 + g / 8 % 10, s, case s when 'queued' then 0 else 1 end, 100,
		       case when s <> 'queued' then now() end, case s when 'completed' then now() end, now() + interval '1 hour'
		from generate_series(1, 8000) g, lateral (select (array['dequeued', 'completed', 'queued', 'queued', 'queued', 'queued', 'queued', 'queued'])[1 + g % 8] as s) s`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze")
	require.NoError(t, err)
}

// For a limit that is a parameter, the planner of a generic plan expects a tenth of all rows.
func TestTheServerKeepsThePlansOfADeepQueue(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := clienttest.OneConnection(t, "orchestrator", orchestrator.Migrations())
	c, err := orchestrator.New(orchestrator.Params{DB: db.Named("orchestrator", fxdb.RequireTenant())})
	require.NoError(t, err)
	ctx := as(t, "acme")
	deep(t, ctx, db)
	// The counts of a busy queue, which the server has not folded yet.
	exec(t, ctx, db, `insert into orchestrator.task_counts (status, priority, tasks, claimed, waited, longest, processed, processing)
		select 'queued', 1, 0, 0, 0, 0, 0, 0 from generate_series(1, 2000)`)
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "analyze orchestrator.task_counts")
	require.NoError(t, err)
	claim := func(n int) func(int) error {
		return func(int) error {
			got, err := c.Claim(ctx, n, "w")
			require.Len(t, got, n)
			return err
		}
	}
	clienttest.KeepsPlans(t, db, map[string]func(int) error{
		"Claim of 1":            claim(1),
		"Claim of 20":           claim(20),
		"Complete":              func(i int) error { return c.Complete(ctx, fmt.Sprint("t", 8+8*i)) },
		"Fail":                  func(i int) error { _, err := c.Fail(ctx, fmt.Sprint("t", 208+8*i), "", false); return err },
		"Queued":                func(int) error { _, err := c.Queued(ctx, 50); return err },
		"Queued, the next page": func(int) error { _, err := c.Queued(ctx, 50, "t2002"); return err },
		"TimedOut":              func(int) error { _, err := c.TimedOut(ctx); return err },
		"TasksPage, claimed": func(int) error {
			_, err := c.TasksPage(ctx, orchestrator.TaskDequeued, 0, "")
			return err
		},
		"TasksPage, completed": func(int) error {
			_, err := c.TasksPage(ctx, orchestrator.TaskCompleted, 0, "")
			return err
		},
	})
}
