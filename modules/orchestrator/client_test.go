package orchestrator_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

var (
	as   = clienttest.As
	scan = clienttest.Scan
	exec = clienttest.Exec
)

// newClient returns a client on a database of this test's own.
func newClient(t testing.TB) (*orchestrator.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	db := testkit.DB(t, testkit.Migrations("orchestrator", orchestrator.Migrations()))
	c, err := orchestrator.New(orchestrator.Params{DB: db.Named("orchestrator", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

func task(id string, change ...func(*orchestrator.Task)) orchestrator.Task {
	t := orchestrator.Task{ID: id, Type: orchestrator.General, Description: "do " + id, Timeout: time.Hour}
	for _, fn := range change {
		fn(&t)
	}
	return t
}

func assignment(taskID string, change ...func(*orchestrator.Assignment)) orchestrator.Assignment {
	a := orchestrator.Assignment{
		ID: "a-" + taskID, TaskID: taskID, AgentID: "ada", AgentName: "Ada", AgentModelFamily: "claude-3.5",
		Routing: orchestrator.Routing{Strategy: orchestrator.UCB},
	}
	for _, fn := range change {
		fn(&a)
	}
	return a
}

func enqueue(t testing.TB, ctx context.Context, c *orchestrator.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, c.Enqueue(ctx, task(id)))
	}
}

// claim takes n tasks, and fails unless there were as many.
func claim(t testing.TB, ctx context.Context, c *orchestrator.Client, n int) []orchestrator.Task {
	t.Helper()
	tasks, err := c.Claim(ctx, max(n, 1), "worker")
	require.NoError(t, err)
	require.Len(t, tasks, n)
	return tasks
}

// held enqueues tasks and claims them.
func held(t testing.TB, ctx context.Context, c *orchestrator.Client, ids ...string) []orchestrator.Task {
	t.Helper()
	enqueue(t, ctx, c, ids...)
	return claim(t, ctx, c, len(ids))
}

func assign(t testing.TB, ctx context.Context, c *orchestrator.Client, a orchestrator.Assignment) orchestrator.Assignment {
	t.Helper()
	a, err := c.Assign(ctx, a)
	require.NoError(t, err)
	return a
}

func get(t testing.TB, ctx context.Context, c *orchestrator.Client, id string) orchestrator.Task {
	t.Helper()
	got, err := c.Task(ctx, id)
	require.NoError(t, err)
	return got
}

func ids(tasks []orchestrator.Task) []string {
	out := []string{}
	for _, t := range tasks {
		out = append(out, t.ID)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// expire moves every deadline that lies ahead into the past, as waiting would.
func expire(t testing.TB, ctx context.Context, db *fxdb.DB) {
	t.Helper()
	exec(t, ctx, db, "update orchestrator.tasks set deadline = now() - interval '1 second' where status = 'dequeued'")
}

// together runs n calls at once and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errs
}

func requireAll(t testing.TB, errs []error) {
	t.Helper()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// while runs use against changes that another transaction holds back until use
// waits for them, and returns its error.
func while(t *testing.T, ctx context.Context, db *fxdb.DB, use func() error, changes ...string) error {
	t.Helper()
	owner := testkit.OwnerPool(t, db)
	result := make(chan error, 1)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, sql := range changes {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		go func() { result <- use() }()
		require.Eventually(t, func() bool {
			var waits bool
			err := owner.QueryRow(t.Context(), `select exists (select from pg_locks l join pg_stat_activity a using (pid)
				where not l.granted and a.datname = current_database())`).Scan(&waits)
			return err == nil && waits
		}, 10*time.Second, 5*time.Millisecond, "nobody waits for the changes")
		return nil
	}))
	return <-result
}

// use calls every method that needs a tenant, in an order in which all succeed.
func use(c *orchestrator.Client, ctx context.Context) map[string]error {
	out := map[string]error{}
	out["Enqueue"] = c.Enqueue(ctx, task("t"))
	out["EnqueueAll"] = c.EnqueueAll(ctx, []orchestrator.Task{task("t2"), task("t3"), task("t4")})
	_, out["Task"] = c.Task(ctx, "t")
	_, out["Queued"] = c.Queued(ctx, 0)
	_, out["TimedOut"] = c.TimedOut(ctx)
	_, out["Claim"] = c.Claim(ctx, 4, "worker")
	_, out["Assign"] = c.Assign(ctx, assignment("t"))
	out["UpdateAssignment"] = c.UpdateAssignment(ctx, "a-t", orchestrator.AssignmentPatch{Progress: ptr(0.5)})
	_, out["Assignment"] = c.Assignment(ctx, "a-t")
	_, out["ActiveAssignments"] = c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{})
	_, out["OverdueAssignments"] = c.OverdueAssignments(ctx)
	_, out["RecordExecution"] = c.RecordExecution(ctx, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	_, out["Executions"] = c.Executions(ctx, "t")
	out["Complete"] = c.Complete(ctx, "t2")
	_, out["Fail"] = c.Fail(ctx, "t3", "why", false)
	_, out["Retry"] = c.Retry(ctx, "t3")
	_, out["CancelQueued"] = c.CancelQueued(ctx)
	_, out["TimedOutPage"] = c.TimedOutPage(ctx, 0, "")
	_, out["TasksPage"] = c.TasksPage(ctx, orchestrator.TaskFailed, 0, "")
	_, out["OverdueAssignmentsPage"] = c.OverdueAssignmentsPage(ctx, 0, "")
	_, out["SnapshotsPage"] = c.SnapshotsPage(ctx, 0, "")
	_, out["Stats"] = c.Stats(ctx)
	out["SnapshotStats"] = c.SnapshotStats(ctx)
	_, out["DeleteFinished"] = c.DeleteFinished(ctx, 0)
	return out
}

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := orchestrator.New(orchestrator.Params{
		DB: db.Named("orchestrator"), Config: orchestrator.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	// What belongs to all tenants needs none.
	require.NoError(t, c.SetConfig(t.Context(), "key", 1, nil, ""))
	_, err = c.Config(t.Context())
	require.NoError(t, err)

	_, err = orchestrator.New(orchestrator.Params{DB: db, Config: orchestrator.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	require.ErrorContains(t, err, "orchestrator: Config.DefaultTenant")
	_, err = orchestrator.New(orchestrator.Params{})
	require.ErrorContains(t, err, "orchestrator: Params.DB")
}

func TestTheSystemOwnsNothing(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	for name, err := range use(c, tenant.System(t.Context(), "test")) {
		switch name {
		case "TasksPage", "TimedOutPage", "OverdueAssignmentsPage", "SnapshotsPage":
			require.NoError(t, err, name)
		case "Queued", "TimedOut", "Claim", "ActiveAssignments", "OverdueAssignments", "Executions", "CancelQueued", "Stats", "DeleteFinished":
			require.NoError(t, err, name)
		default:
			require.Error(t, err, name)
		}
	}
}

// Every method says which it is, and fails once the pool is away.
func TestErrorsNameTheMethod(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.NoError(t, db.Close(t.Context()))
	all := use(c, as(t, "acme"))
	all["SetConfig"] = c.SetConfig(t.Context(), "key", 1, nil, "")
	_, all["Config"] = c.Config(t.Context())
	prefixes := map[string]string{
		"Enqueue": "enqueue", "EnqueueAll": "enqueue all", "Task": "task", "Queued": "queued", "TimedOut": "timed out", "Claim": "claim",
		"Assign": "assign", "UpdateAssignment": "update assignment", "Assignment": "assignment", "ActiveAssignments": "active assignments",
		"OverdueAssignments": "overdue assignments", "RecordExecution": "record execution", "Executions": "executions", "Complete": "complete",
		"Fail": "fail", "Retry": "retry", "CancelQueued": "cancel queued", "Stats": "stats", "SnapshotStats": "snapshot stats",
		"DeleteFinished": "delete finished", "SetConfig": "set config", "Config": "config",
		"OverdueAssignmentsPage": "overdue assignments", "SnapshotsPage": "snapshots", "TasksPage": "tasks", "TimedOutPage": "timed out",
	}
	require.Len(t, all, len(prefixes))
	for name, err := range all {
		require.ErrorIs(t, err, fxdb.ErrDraining, name)
		require.ErrorContains(t, err, "orchestrator: "+prefixes[name]+": ")
	}
}

func TestAvailableIsAskedEachTime(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.Eventually(t, func() bool { return c.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.NoError(t, db.Close(t.Context()))
	require.False(t, c.Available(t.Context()))

	var early *orchestrator.Client
	app := fx.New(fx.NopLogger, fxdb.Module, orchestrator.Module, fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"}), fx.Populate(&early))
	require.NoError(t, app.Err())
	require.False(t, early.Available(t.Context()))
	require.ErrorIs(t, early.Enqueue(as(t, "acme"), task("t")), fxdb.ErrNotStarted)
	_, err := early.Claim(as(t, "acme"), 1, "worker")
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
}

// Where there is no server yet, there is nothing to check.
func TestTheStartGoesOnWithoutAServer(t *testing.T) {
	t.Parallel()
	var c *orchestrator.Client
	app := fx.New(fx.NopLogger, fxdb.Module, orchestrator.Module, fx.Populate(&c),
		fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere", Start: "degrade", ConnectionTimeout: 100 * time.Millisecond}))
	require.NoError(t, app.Start(t.Context()))
	require.False(t, c.Available(t.Context()))
	require.ErrorIs(t, c.Enqueue(as(t, "acme"), task("t")), fxdb.ErrNotStarted)
	require.NoError(t, app.Stop(t.Context()))
}
