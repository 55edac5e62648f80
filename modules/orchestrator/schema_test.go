package orchestrator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// shared is the one table that belongs to no tenant.
const shared = "orchestrator.queue_config"

func catalog(t testing.TB, db *fxdb.DB, sql string) []string {
	t.Helper()
	rows, err := testkit.Owner(t, db).Query(t.Context(), sql)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// tenantTables are all tables of the schema but the shared one, by the catalog.
// Each must be led by its tenant: that column is the first of every key, of every
// index and of every reference.
func tenantTables(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	tables := catalog(t, db, `
		select oid::regclass::text from pg_class where relnamespace = 'orchestrator'::regnamespace and relkind in ('r', 'p', 'm', 'f', 'v')
		and oid <> '`+shared+`'::regclass order by 1`)
	require.Len(t, tables, 4)
	require.Empty(t, catalog(t, db, `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
		join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = 'orchestrator'::regnamespace and c.oid <> '`+shared+`'::regclass and a.attname <> 'tenant_id'`),
		"indexes that the tenant does not lead")
	require.Empty(t, catalog(t, db, `
		select conname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.connamespace = 'orchestrator'::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id'`), "references that the tenant does not lead")
	return tables
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *orchestrator.Client) {
	t.Helper()
	held(t, ctx, c, "t")
	assign(t, ctx, c, assignment("t"))
	_, err := c.RecordExecution(ctx, orchestrator.Execution{TaskID: "t", AssignmentID: "a-t"})
	require.NoError(t, err)
	require.NoError(t, c.SnapshotStats(ctx))
}

// strangers are all who have nothing to do with acme's rows.
func strangers(t testing.TB) map[string]context.Context {
	return map[string]context.Context{"another tenant": as(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")}
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme := as(t, "acme")
	fill(t, acme, c)
	for _, table := range tenantTables(t, db) {
		own := func() (n int) {
			scan(t, acme, db, "select count(*) from "+table, &n)
			return n
		}
		require.Equal(t, 1, own(), table)
		for who, ctx := range strangers(t) {
			var n int
			scan(t, ctx, db, "select count(*) from "+table, &n)
			require.Zero(t, n, "%s read %s", who, table)
			for _, sql := range []string{"update %s set tenant_id = tenant_id", "delete from %s"} {
				tag, err := db.Exec(ctx, fmt.Sprintf(sql, table))
				require.NoError(t, err)
				require.Zero(t, tag.RowsAffected(), "%s: "+sql, who, table)
			}
		}
		require.Equal(t, 1, own(), table)
	}
}

// Through the methods, too, no tenant sees or changes what is another's, even
// where both use the same ids.
func TestMethodsSeeTheirTenantOnly(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c)
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
	fill(t, acme, c)
	fill(t, globex, c)
	forged := map[string]string{
		"orchestrator.tasks": "(tenant_id, id, task_type, description, deadline) values ('acme', 'm', 'general', '', now())",
		"orchestrator.assignments": `(tenant_id, id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms, routing_strategy, status)
			values ('acme', 'm', 't', 'a', 'a', 'a', now() + interval '1 hour', 1, 'ucb', 'failed')`,
		"orchestrator.executions":  "(tenant_id, task_id, started_at, agent_id, agent_name) values ('acme', 't', now(), 'a', 'a')",
		"orchestrator.queue_stats": "(tenant_id) values ('acme')",
	}
	for _, table := range tenantTables(t, db) {
		require.Contains(t, forged, table)
		for who, ctx := range strangers(t) {
			for _, conflict := range []string{"", " on conflict do nothing"} {
				_, err := db.Exec(ctx, "insert into "+table+forged[table]+conflict)
				require.True(t, isCode(err, "42501"), "%s forged a row of %s: %v", who, table, err)
				require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden)
			}
		}
		_, err := db.Exec(acme, "update "+table+" set tenant_id = 'globex'")
		require.True(t, isCode(err, "42501"), "a row of %s was given away: %v", table, err)
	}
	// Foreign keys don't see policies: they are led by the tenant instead.
	enqueue(t, acme, c, "acme only")
	_, err := db.Exec(globex, "insert into orchestrator.executions (task_id, started_at, agent_id, agent_name) values ('acme only', now(), 'a', 'a')")
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
	// Without a tenant the column has no default: there is no row of nobody's.
	_, err = db.Exec(t.Context(), "insert into orchestrator.queue_stats default values")
	require.Error(t, err)
}

func TestEveryTenantTableIsForcedAndHasAPolicyPerCommand(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	for _, table := range tenantTables(t, db) {
		var enabled, forced bool
		var commands []string
		var wrong int
		require.NoError(t, testkit.Owner(t, db).QueryRow(t.Context(), `
			select relrowsecurity, relforcerowsecurity, array(select polcmd::text from pg_policy where polrelid = c.oid order by 1),
			       (select count(*) from pg_policy where polrelid = c.oid
			        and concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) not like '%NULLIF(( SELECT current_setting(%')
			from pg_class c where oid = $1::regclass`, table).Scan(&enabled, &forced, &commands, &wrong))
		require.True(t, enabled && forced, table)
		require.Equal(t, []string{"a", "d", "r", "w"}, commands, table)
		require.Zero(t, wrong, table)
	}
}

// The verifier of the library finds no hole in the schema.
func TestTheSchemaIsVerified(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	report, err := tenant.Verify(t.Context(), db.Pool())
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Findings)
	require.Empty(t, slices.DeleteFunc(report.Findings, func(f tenant.Finding) bool { return f.Level == tenant.LevelNote }))
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
	_, err := testkit.Owner(t, db).Exec(t.Context(), "analyze orchestrator.tasks, orchestrator.assignments, orchestrator.executions")
	require.NoError(t, err)
	for sql, index := range map[string]string{
		"select 1 from orchestrator.tasks where id = '77'":                                                                      "tasks_pkey",
		"select id from orchestrator.tasks where status = 'queued' order by priority desc, seq limit 5 for update skip locked":  "tasks_priority_idx",
		"select id from orchestrator.tasks where status = 'queued' order by seq limit 5 for update skip locked":                 "tasks_fifo_idx",
		"select id from orchestrator.tasks where status = 'queued' order by deadline, seq limit 5 for update skip locked":       "tasks_due_idx",
		"select id from orchestrator.tasks where status = 'dequeued' and deadline < now() order by deadline limit 1000":         "tasks_claimed_idx",
		"select 1 from orchestrator.tasks where status = 'completed' and completed_at < now() - interval '1 day'":               "tasks_status_idx",
		"select 1 from orchestrator.assignments where id = '77'":                                                                "assignments_pkey",
		"select 1 from orchestrator.assignments where status in ('assigned', 'acknowledged', 'executing') and deadline < now()": "assignments_deadline_idx",
		"select 1 from orchestrator.assignments where agent_id = '7'":                                                           "assignments_agent_idx",
		"select 1 from orchestrator.assignments where task_id = '7' and status in ('assigned', 'acknowledged', 'executing')":    "assignments_active_key",
		"select 1 from orchestrator.executions where task_id = '7' order by started_at limit 5":                                 "executions_task_idx",
		"select 1 from orchestrator.executions where assignment_id = '7'":                                                       "executions_assignment_idx",
	} {
		rows, err := db.Query(ctx, "explain "+sql)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(plan, func(l string) bool { return strings.Contains(l, index) }), "%s: %v", sql, plan)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	owner := testkit.Owner(t, db).Config().ConnConfig
	sources, err := migrate.Check([]migrate.Source{{Name: "orchestrator", FS: orchestrator.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, c.CheckSchema(t.Context()))

	require.NoError(t, migrate.Down(t.Context(), owner, sources))
	require.Empty(t, catalog(t, db, "select nspname::text from pg_namespace where nspname = 'orchestrator'"))
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "DB_MIGRATE")
	require.NoError(t, migrate.Up(t.Context(), owner, zap.NewNop(), sources))
	require.NoError(t, c.CheckSchema(t.Context()))
	fill(t, as(t, "acme"), c)
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	owner := testkit.Owner(t, db)
	for _, table := range append(tenantTables(t, db), shared) {
		for _, privilege := range []string{"select", "insert", "update", "delete"} {
			_, err := owner.Exec(t.Context(), "revoke "+privilege+" on "+table+" from onepool_app")
			require.NoError(t, err)
			err = c.CheckSchema(t.Context())
			require.ErrorIs(t, err, modules.ErrSchema)
			require.ErrorContains(t, err, "orchestrator: check the schema: ")
			require.ErrorContains(t, err, table)
			_, err = owner.Exec(t.Context(), "grant "+privilege+" on "+table+" to onepool_app")
			require.NoError(t, err)
		}
	}
	require.NoError(t, c.CheckSchema(t.Context()))
	_, err := owner.Exec(t.Context(), "update onepool.orchestrator_versions set is_applied = false where version_id = 1")
	require.NoError(t, err)
	require.ErrorContains(t, c.CheckSchema(t.Context()), "it is at version 0, needed is 1")
}

func TestModuleWorksAloneAndWithOthersInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]fx.Option{
		"alone":  {orchestrator.Module},
		"first":  {orchestrator.Module, agentregistry.Module, fx.Invoke(func(*agentregistry.Client) {})},
		"second": {agentregistry.Module, orchestrator.Module, fx.Invoke(func(*agentregistry.Client) {})},
	} {
		var c *orchestrator.Client
		app := fxtest.New(t, append(options, fxdb.Module, testkit.Swap(t), fx.Populate(&c))...)
		app.RequireStart()
		require.NoError(t, c.Enqueue(as(t, "acme"), task("t")), name)
		app.RequireStop()
	}
}

// The start checks the schema and adds the settings that are missing; after the
// stop nothing is sent any more.
func TestModuleStartsAndStops(t *testing.T) {
	t.Parallel()
	var c *orchestrator.Client
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, orchestrator.Module, testkit.Swap(t), fx.Populate(&c, &db))
	began := time.Now()
	app.RequireStart()
	all, err := c.Config(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.True(t, c.Available(t.Context()))
	require.LessOrEqual(t, c.ClientStats().Uptime, time.Since(began), "the clock starts with the application")
	app.RequireStop()

	// The pool of the test is still there: it is the client that refuses.
	require.NoError(t, db.Ping(t.Context()))
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
