package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
)

// queue times orchestrator. Of the tasks 60 % are queued, 10 % claimed, 20 % completed and 10 %
// failed. A claimed or completed task has an assignment and a run.
type queue struct {
	c    *orchestrator.Client
	made int               // tasks of the program
	held orchestrator.Task // the claim of a call
}

func (q *queue) module() fx.Option { return fx.Options(orchestrator.Module, fx.Populate(&q.c)) }

func (q *queue) client() any { return q.c }

func (q *queue) rows() []string {
	return []string{
		`update orchestrator.queue_config set config_value = '2000000' where config_key = 'max_capacity'`,
		`insert into orchestrator.tasks (tenant_id, id, task_type, description, priority, timeout_ms, attempts, max_attempts, status,
			created_at, dequeued_at, completed_at, deadline, claimed_by)
		select growth.tenant(g), 't' || g, 'general', 'task ' || g, 1 + g / 20 % 10, 3600000, s.claimed, 1000000, s.status, now() - s.age,
		       case when s.claimed = 1 then now() - s.age / 2 end, case when s.ended then now() - s.age / 2 end,
		       now() + interval '1 hour' + g * interval '1 second', case when s.claimed = 1 then 'w' end
		from generate_series(1, $1) g, lateral (select
			(array['queued', 'queued', 'queued', 'queued', 'queued', 'queued', 'dequeued', 'completed', 'completed', 'failed'])[1 + g / 2 % 10] as status,
			case when g / 2 % 10 < 6 then 0 else 1 end as claimed, g / 2 % 10 > 6 as ended, g / 100 * interval '1 minute' + interval '1 minute' as age) s`,
		`insert into orchestrator.assignments (tenant_id, id, task_id, agent_id, agent_name, agent_model_family, assigned_at, deadline,
			assignment_timeout_ms, routing_strategy, status, completed_at)
		select growth.tenant(g), 'as' || g, 't' || g, 'agent ' || g / 20 % 50, 'name', 'x', now(), date_trunc('minute', now()) + interval '1 hour' + g / 100000 * interval '1 minute',
		       3600000, 'ucb', case when g / 2 % 10 = 6 then 'executing' else 'completed' end, case when g / 2 % 10 > 6 then now() end
		from generate_series(1, $1) g where g / 2 % 10 in (6, 7, 8)`,
		`insert into orchestrator.executions (tenant_id, task_id, assignment_id, started_at, completed_at, execution_time_ms, agent_id, agent_name, success)
		select growth.tenant(g), 't' || g, 'as' || g, now() - interval '1 hour', case when g / 2 % 10 > 6 then now() end, case when g / 2 % 10 > 6 then 3600000 end, 'agent', 'name',
		       case when g / 2 % 10 > 6 then true end
		from generate_series(1, $1) g where g / 2 % 10 in (6, 7, 8)`,
		`insert into orchestrator.queue_stats (tenant_id, recorded_at) select growth.tenant(g), now() - g * interval '1 second' from generate_series(1, $1 / 100) g`,
		"select orchestrator.recount()",
	}
}

// task returns a new task of the highest priority.
func (q *queue) task() orchestrator.Task {
	q.made++
	return orchestrator.Task{ID: fmt.Sprint("new", q.made), Type: orchestrator.General, Description: "new", Priority: 10, Timeout: time.Hour, MaxAttempts: 1_000_000}
}

// refill adds a task for each task that a call is going to claim: the queue keeps the depth.
func (q *queue) refill(tasks int) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		all := make([]orchestrator.Task, tasks)
		for i := range all {
			all[i] = q.task()
		}
		return q.c.EnqueueAll(ctx, all)
	}
}

// claim claims a task for a call, and adds a task for it.
func (q *queue) claim(ctx context.Context, i int) error {
	if err := q.refill(1)(ctx, i); err != nil {
		return err
	}
	tasks, err := q.c.Claim(ctx, 1, "growth")
	if err != nil || len(tasks) == 0 {
		return fmt.Errorf("claim a task: %d tasks, %w", len(tasks), err)
	}
	q.held = tasks[0]
	return nil
}

func (q *queue) assignment() orchestrator.Assignment {
	return orchestrator.Assignment{
		TaskID: q.held.ID, AgentID: "agent", AgentName: "agent", AgentModelFamily: "x", Routing: orchestrator.Routing{Strategy: orchestrator.UCB},
	}
}

// The middle of the queue is in the middle of a priority, too; of the claimed tasks, row 12 is
// the first.
func (q *queue) calls(n int) []call {
	c := q.c
	middle := fmt.Sprint("t", 20*(n/400*10+4))
	active := func(i int) string { return fmt.Sprint("as", 12+20*(i%(n/20))) }
	deep := active(n / 40)
	return []call{
		{name: "Enqueue", run: func(ctx context.Context, _ int) (any, error) { return none(c.Enqueue(ctx, q.task())) }},
		{name: "EnqueueAll: 20", run: func(ctx context.Context, i int) (any, error) { return none(q.refill(20)(ctx, i)) }},
		{name: "Claim: 1", before: q.refill(1), run: func(ctx context.Context, _ int) (any, error) { return the(c.Claim(ctx, 1, "growth")) }},
		{name: "Claim: 20", before: q.refill(20), run: func(ctx context.Context, _ int) (any, error) { return the(c.Claim(ctx, 20, "growth")) }},
		{name: "Complete", before: q.claim, run: func(ctx context.Context, _ int) (any, error) { return none(c.Complete(ctx, q.held.ID)) }},
		{name: "Fail: back to the queue", before: q.claim, run: func(ctx context.Context, _ int) (any, error) { return the(c.Fail(ctx, q.held.ID, "why", true)) }},
		{name: "Retry", before: q.claim, run: func(ctx context.Context, _ int) (any, error) { return the(c.Retry(ctx, q.held.ID)) }},
		{name: "Task", run: func(ctx context.Context, _ int) (any, error) { return the(c.Task(ctx, middle)) }},
		{name: "Queued: 50", run: func(ctx context.Context, _ int) (any, error) { return the(c.Queued(ctx, 50)) }},
		{name: "Queued: 50, in depth", run: func(ctx context.Context, _ int) (any, error) { return the(c.Queued(ctx, 50, middle)) }},
		{name: "QueuedPage: 1000", run: func(ctx context.Context, _ int) (any, error) { return the(c.QueuedPage(ctx, 0, "")) }},
		{name: "TimedOut", run: func(ctx context.Context, _ int) (any, error) { return the(c.TimedOut(ctx)) }},
		{name: "TimedOutPage: 100", run: func(ctx context.Context, _ int) (any, error) { return the(c.TimedOutPage(ctx, 0, "")) }},
		{name: "TasksPage: 100 completed", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.TasksPage(ctx, orchestrator.TaskCompleted, 0, ""))
		}},
		{name: "TasksPage: 100 claimed", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.TasksPage(ctx, orchestrator.TaskDequeued, 0, ""))
		}},
		{name: "Assign", before: q.claim, run: func(ctx context.Context, _ int) (any, error) { return the(c.Assign(ctx, q.assignment())) }},
		{name: "Assignment", run: func(ctx context.Context, i int) (any, error) { return the(c.Assignment(ctx, active(i))) }},
		{name: "UpdateAssignment", run: func(ctx context.Context, i int) (any, error) {
			return none(c.UpdateAssignment(ctx, active(i), orchestrator.AssignmentPatch{Progress: ptr(0.5)}))
		}},
		{name: "ActiveAssignments: 50", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{Limit: 50}))
		}},
		{name: "ActiveAssignments: 50, in depth", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{Limit: 50, After: deep}))
		}},
		{name: "ActiveAssignments: 50 of a status", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{Limit: 50, Status: orchestrator.Executing}))
		}},
		{name: "ActiveAssignmentsPage: 50 of an agent", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.ActiveAssignmentsPage(ctx, orchestrator.AssignmentFilter{Limit: 50, AgentID: "agent 0"}))
		}},
		{name: "OverdueAssignments", run: func(ctx context.Context, _ int) (any, error) { return the(c.OverdueAssignments(ctx)) }},
		{name: "OverdueAssignmentsPage: 100", run: func(ctx context.Context, _ int) (any, error) { return the(c.OverdueAssignmentsPage(ctx, 0, "")) }},
		{name: "RecordExecution", before: q.claim, run: func(ctx context.Context, _ int) (any, error) {
			return the(c.RecordExecution(ctx, orchestrator.Execution{TaskID: q.held.ID, AgentID: "agent", AgentName: "agent"}))
		}},
		{name: "Executions", run: func(ctx context.Context, _ int) (any, error) { return the(c.Executions(ctx, "t12")) }},
		{name: "ExecutionsPage", run: func(ctx context.Context, _ int) (any, error) { return the(c.ExecutionsPage(ctx, "t12", 50, "")) }},
		{name: "Stats", run: func(ctx context.Context, _ int) (any, error) { return the(c.Stats(ctx)) }},
		{name: "SnapshotStats", run: func(ctx context.Context, _ int) (any, error) { return none(c.SnapshotStats(ctx)) }},
		{name: "SnapshotsPage: 100", run: func(ctx context.Context, _ int) (any, error) { return the(c.SnapshotsPage(ctx, 0, "")) }},
		{name: "Config", run: func(ctx context.Context, _ int) (any, error) { return the(c.Config(ctx)) }},
		{name: "SetConfig", run: func(_ context.Context, i int) (any, error) {
			return none(c.SetConfig(tenant.System(context.Background(), "growth"), "growth", i, nil, "growth"))
		}},
		{name: "ClientStats", run: func(context.Context, int) (any, error) { return c.ClientStats(), nil }},
		{name: "Health", run: func(ctx context.Context, _ int) (any, error) { return none(c.Health(ctx).Err) }},
		{name: "Available", run: func(ctx context.Context, _ int) (any, error) { return c.Available(ctx), nil }},
		{name: "CheckSchema", run: func(ctx context.Context, _ int) (any, error) { return none(c.CheckSchema(ctx)) }},
		{name: "DeleteFinished: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.DeleteFinished(ctx, 365*24*time.Hour)) }},
		{name: "DeleteFinished: all", times: 1, run: func(ctx context.Context, _ int) (any, error) {
			return the(c.DeleteFinished(ctx, time.Second))
		}},
		{name: "CancelQueued: all", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.CancelQueued(ctx)) }},
	}
}
