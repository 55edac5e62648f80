package orchestrator_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

var schema = clienttest.Schema{
	Source: "orchestrator", Name: "orchestrator", Shared: []string{"orchestrator.queue_config"}, Tables: 5, Migrations: orchestrator.Migrations(),
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *orchestrator.Client, db *fxdb.DB) {
	t.Helper()
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	_, err := c.RecordExecution(ctx, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	require.NoError(t, err)
	require.NoError(t, c.SnapshotStats(ctx))
	exec(t, ctx, db, "select orchestrator.fold_task_counts()") // to a row for each status, of which one is not empty
	exec(t, ctx, db, "delete from orchestrator.task_counts where tasks = 0")
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	fill(t, as(t, "acme"), c, db)
	schema.ShowsNothing(t, db)
}

// Through the methods, too, no tenant sees or changes what is another's, even
// where both use the same ids.
func TestMethodsSeeTheirTenantOnly(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c, db)
	enqueue(t, acme, c, "queued")
	_, err := c.Task(globex, "t")
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.Assignment(globex, "a-t")
	require.ErrorIs(t, err, orchestrator.ErrAssignmentNotFound)
	require.ErrorIs(t, c.Complete(globex, "t"), orchestrator.ErrTaskNotFound)
	_, err = c.Assign(globex, assignment("t"))
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.RecordExecution(globex, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	claim(t, globex, c, 0)
	n, err := c.CancelQueued(globex)
	require.NoError(t, err)
	require.Zero(t, n)
	active, err := c.ActiveAssignments(globex, orchestrator.AssignmentFilter{})
	require.NoError(t, err)
	require.Empty(t, active)
	runs, err := c.Executions(globex, "t")
	require.NoError(t, err)
	require.Empty(t, runs)
	s, err := c.Stats(globex)
	require.NoError(t, err)
	require.Zero(t, s.Enqueued)
	held(t, globex, c, "t")
	require.NoError(t, c.Complete(globex, "t"))
	require.Equal(t, orchestrator.TaskDequeued, get(t, acme, c, "t").Status)
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c, db)
	fill(t, globex, c, db)
	forged := map[string]string{
		"orchestrator.tasks": "(tenant_id, id, task_type, description, deadline) values ('acme', 'm', 'general', '', now())",
		"orchestrator.assignments": `(tenant_id, id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms, routing_strategy, status)
			values ('acme', 'm', 't', 'a', 'a', 'a', now() + interval '1 hour', 1, 'ucb', 'failed')`,
		"orchestrator.executions":  "(tenant_id, task_id, started_at, agent_id, agent_name) values ('acme', 't', now(), 'a', 'a')",
		"orchestrator.queue_stats": "(tenant_id) values ('acme')",
		"orchestrator.task_counts": "(tenant_id, status, priority, tasks, claimed, waited, longest, processed, processing) values ('acme', 'queued', 1, 1, 1, 1, 1, 1, 1)",
	}
	schema.RefusesForged(t, db, forged, "insert into orchestrator.queue_stats default values")
	enqueue(t, acme, c, "acme only")
	clienttest.RefersToItsOwn(t, db, "insert into orchestrator.executions (task_id, started_at, agent_id, agent_name) values ('acme only', now(), 'a', 'a')")
}

func TestTheSchemaIsForced(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	schema.IsForced(t, db)
}

func TestReadsUseTheIndexesUnderThePolicies(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, priority, deadline, status, completed_at)
		select g::text, 'general', '', 1 + g % 10, now() + g * interval '1 second',
		       (array['queued', 'dequeued', 'completed'])[1 + g % 3], case g % 3 when 2 then now() end from generate_series(1, 6000) g`)
	exec(t, ctx, db, `insert into orchestrator.assignments (id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms, routing_strategy)
		select g::text, (g)::text, (g % 50)::text, 'a', 'a', now() + g * interval '1 second', 1, 'ucb' from generate_series(1, 3000) g`)
	exec(t, ctx, db, `insert into orchestrator.executions (task_id, assignment_id, started_at, agent_id, agent_name, success)
		select g::text, (g)::text, now(), 'a', 'a', true from generate_series(1, 3000) g`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze orchestrator.tasks, orchestrator.assignments, orchestrator.executions")
	require.NoError(t, err)
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select 1 from orchestrator.tasks where id = '77'":                                                                                                                                    "tasks_pkey",
		"select id from orchestrator.tasks where status = 'queued' order by priority desc, seq limit 5 for update skip locked":                                                                "tasks_priority_idx",
		"select id from orchestrator.tasks where status = 'queued' order by seq limit 5 for update skip locked":                                                                               "tasks_fifo_idx",
		"select id from orchestrator.tasks where status = 'queued' order by deadline, seq limit 5 for update skip locked":                                                                     "tasks_due_idx",
		"select id from orchestrator.tasks where status = 'dequeued' and deadline < now() order by deadline limit 1000":                                                                       "tasks_claimed_idx",
		"select 1 from orchestrator.tasks where status = 'completed' and completed_at < now() - interval '1 day'":                                                                             "tasks_status_idx",
		"select 1 from orchestrator.assignments where id = '77'":                                                                                                                              "assignments_pkey",
		"select 1 from orchestrator.assignments where status in ('assigned', 'acknowledged', 'executing') and deadline < now()":                                                               "assignments_deadline_idx",
		"select 1 from orchestrator.assignments where status = 'executing' and (deadline, id) > (now(), 'a') order by deadline, id limit 5":                                                   "assignments_status_idx",
		"select 1 from orchestrator.assignments where status in ('assigned', 'acknowledged', 'executing') and (deadline, id) > (now(), 'a') order by deadline, id limit 5":                    "assignments_deadline_idx",
		"select 1 from orchestrator.assignments where status in ('assigned', 'acknowledged', 'executing') and agent_id = '7' and (deadline, id) > (now(), 'a') order by deadline, id limit 5": "assignments_agent_active_idx",
		"select id from orchestrator.tasks where status = 'queued' and priority = 5 and seq > 70 order by seq limit 5 for update skip locked":                                                 "tasks_priority_idx",
		"select min(seq) from orchestrator.tasks where status = 'queued' and attempts > 0 and priority = 5":                                                                                   "tasks_again_idx",
		"select 1 from orchestrator.assignments where agent_id = '7'":                                                                                                                         "assignments_agent_idx",
		"select 1 from orchestrator.assignments where task_id = '7' and status in ('assigned', 'acknowledged', 'executing')":                                                                  "assignments_active_key",
		"select 1 from orchestrator.executions where task_id = '7' order by started_at limit 5":                                                                                               "executions_task_idx",
		"select 1 from orchestrator.executions where assignment_id = '7'":                                                                                                                     "executions_assignment_idx",
	})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.GoesDownAndUp(t, db, c.CheckSchema)
	fill(t, as(t, "acme"), c, db)
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.SaysWhatIsMissing(t, db, c.CheckSchema)
}

// The start checks the schema and adds the settings that are missing; after the
// stop nothing is sent any more.
func TestModuleStartsAndStops(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var c *orchestrator.Client
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, orchestrator.Module, testkit.Swap(t), fx.Populate(&c, &db))
	began := time.Now()
	app.RequireStart()
	all, err := c.Config(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Eventually(t, func() bool { return c.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.LessOrEqual(t, c.ClientStats().Uptime, time.Since(began), "the clock starts with the application")
	app.RequireStop()

	require.Error(t, db.Ping(t.Context()), "the stop has drained the pool")
	require.False(t, c.Available(t.Context()))
	sent := c.ClientStats().Queries
	for name, err := range use(c, as(t, "acme")) {
		require.ErrorIs(t, err, fxdb.ErrDraining, name)
	}
	require.Equal(t, sent, c.ClientStats().Queries)

	// The same module on a database that nobody migrated.
	url := testkit.DB(t).Pool().Config().ConnString()
	bare := fx.New(fx.NopLogger, fxdb.Module, orchestrator.Module, fx.Replace(fxdb.Config{URL: url}), fx.Invoke(func(*orchestrator.Client) {}))
	require.ErrorIs(t, bare.Start(t.Context()), modules.ErrSchema)
}
