package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

// Execution is a run of a task.
type Execution struct {
	ID           string         `json:"id"` // a UUID; made when empty
	TaskID       string         `json:"task_id"`
	AssignmentID string         `json:"assignment_id"` // empty: the task was run without an assignment
	Attempt      int            `json:"attempt"`       // from 1; 0: the attempt of the task's claim
	StartedAt    time.Time      `json:"started_at"`    // zero: of the assignment's start or the claim
	CompletedAt  *time.Time     `json:"completed_at"`  // nil: the run goes on
	Duration     time.Duration  `json:"duration_ns"`   // 0: from StartedAt to CompletedAt
	AgentID      string         `json:"agent_id"`      // empty: the assignment's
	AgentName    string         `json:"agent_name"`    // empty: the assignment's
	Success      *bool          `json:"success"`       // required with CompletedAt
	Quality      *float64       `json:"quality"`       // 0 to 1
	Tokens       *int           `json:"tokens"`
	Error        *string        `json:"error"`
	PolicyPassed *bool          `json:"policy_passed"`
	Violations   []any          `json:"violations"` // of policies
	FilesUsed    *int           `json:"files_used"`
	LinesUsed    *int           `json:"lines_used"`
	Metadata     map[string]any `json:"metadata"`

	// Retry puts the task of a failed execution back into the queue while the task has attempts
	// left. The database does not store Retry.
	Retry bool `json:"-"`
}

func (e Execution) validate() error {
	err := check.First(
		check.ID("task_id", e.TaskID),
		check.Int32("attempt", e.Attempt, 0),
		check.That("duration", "must not be negative", e.Duration >= 0),
		check.That("success", "must be set when completed_at is, and only then", (e.Success != nil) == (e.CompletedAt != nil)),
		check.That("completed_at", "must not be before started_at", e.CompletedAt == nil || e.StartedAt.IsZero() || !e.CompletedAt.Before(e.StartedAt)),
		check.Optional("error", e.Error),
		check.Ranges(e),
	)
	if !e.StartedAt.IsZero() { // a run that has begun ends later, by the run's duration
		err = check.First(err, check.That("started_at", "must be at most 876000 h ago, which are 100 years", time.Since(e.StartedAt) <= check.MaxDuration))
	}
	if e.ID != "" {
		err = check.First(err, check.UUID("id", e.ID))
	}
	if e.AssignmentID != "" {
		err = check.First(err, check.ID("assignment_id", e.AssignmentID))
	}
	if e.AgentID != "" || e.AssignmentID == "" {
		err = check.First(err, check.ID("agent_id", e.AgentID))
	}
	if e.AgentName != "" || e.AssignmentID == "" {
		err = check.First(err, check.Text("agent_name", e.AgentName, 255))
	}
	if e.Quality != nil {
		err = check.First(err, check.Share("quality", *e.Quality))
	}
	for _, n := range []struct {
		field string
		value *int
	}{{"tokens", e.Tokens}, {"files_used", e.FilesUsed}, {"lines_used", e.LinesUsed}} {
		if n.value != nil {
			err = check.First(err, check.Int32(n.field, *n.value, 0))
		}
	}
	return err
}

// maxAhead is how fast a worker's clock may be: the database's decides.
const maxAhead = 5 * time.Minute

// recordSQL runs after the lock of the task, and locks the assignment. A recorded execution
// must belong to the lasting claim and assignment. An ended execution does not change.
var recordSQL = `
with task as (
    select t.tenant_id, t.id, t.status, t.attempts, t.max_attempts, t.dequeued_at
    from orchestrator.tasks t where t.id = @id
), assignment as (
    select a.tenant_id, a.id, a.status, a.agent_id, a.agent_name, a.started_at, a.assigned_at
    from task join orchestrator.assignments a on a.tenant_id = task.tenant_id and a.task_id = task.id
    where a.id = @assignment_id::text for no key update of a
), verdict as (
    select task.*, a.id as assignment_id, a.agent_id, a.agent_name, coalesce(a.started_at, a.assigned_at, task.dequeued_at) as began,
           @assignment_id::text <> '' and a.id is null as stranger,
           case when @started_at::timestamptz > now() + @ahead::interval then 'started_at'
                when @completed_at::timestamptz > now() + @ahead::interval then 'completed_at' else '' end as ahead,
           coalesce(@completed_at::timestamptz < coalesce(run.started_at, @started_at::timestamptz, a.started_at, a.assigned_at, task.dequeued_at) - @ahead::interval, false) as early,
           case when @retry::bool and not @success::bool and task.attempts < task.max_attempts then ` + full + ` else false end as no_room,
           task.status = 'dequeued' and case when @assignment_id::text = '' then @attempt::int in (0, task.attempts)
               else coalesce(a.status in ('assigned', 'acknowledged', 'executing'), false) end as held
    from task left join assignment a on true
    left join orchestrator.executions run on run.tenant_id = task.tenant_id and run.task_id = task.id and run.id = nullif(@execution_id::text, '')::uuid
), recorded as (
    insert into orchestrator.executions as e (tenant_id, id, task_id, assignment_id, attempt_number, started_at, completed_at, execution_time_ms,
        agent_id, agent_name, success, quality_score, tokens_used, error_message, policy_passed, policy_violations, budget_used_files,
        budget_used_loc, execution_metadata)
    select v.tenant_id, coalesce(nullif(@execution_id::text, '')::uuid, gen_random_uuid()), v.id, v.assignment_id, coalesce(nullif(@attempt::int, 0), v.attempts),
           coalesce(@started_at::timestamptz, v.began), greatest(@completed_at::timestamptz, case when @completed_at::timestamptz is not null then coalesce(@started_at::timestamptz, v.began) end),
           case when @completed_at::timestamptz is not null then
               coalesce(nullif(@duration_ms::bigint, 0), greatest(0, extract(epoch from @completed_at::timestamptz - coalesce(@started_at::timestamptz, v.began)) * 1000)::bigint)
           end,
           coalesce(nullif(@agent_id::text, ''), v.agent_id), coalesce(nullif(@agent_name::text, ''), v.agent_name), @success::bool,
           @quality::float8, @tokens::int, @error::text, @policy_passed::bool, @violations::text::jsonb, @files::int, @loc::int, @metadata::text::jsonb
    from verdict v where v.held and v.ahead = '' and not v.early and not v.no_room
    on conflict (tenant_id, id) do update set
        completed_at = greatest(excluded.completed_at, case when excluded.completed_at is not null then e.started_at end), success = excluded.success, quality_score = excluded.quality_score,
        execution_time_ms = case when excluded.completed_at is not null then
            coalesce(nullif(@duration_ms::bigint, 0), greatest(0, extract(epoch from excluded.completed_at - e.started_at) * 1000)::bigint)
        end,
        tokens_used = excluded.tokens_used, error_message = excluded.error_message, policy_passed = excluded.policy_passed,
        policy_violations = excluded.policy_violations, budget_used_files = excluded.budget_used_files,
        budget_used_loc = excluded.budget_used_loc, execution_metadata = excluded.execution_metadata
    where e.completed_at is null and e.task_id = excluded.task_id and e.assignment_id is not distinct from excluded.assignment_id
    returning e.id, e.success
), ended as (
    update orchestrator.tasks t set
        status       = case when recorded.success then 'completed' when @retry::bool and t.attempts < t.max_attempts then 'queued' else 'failed' end,
        completed_at = case when not recorded.success and @retry::bool and t.attempts < t.max_attempts then null else now() end,
        deadline     = case when not recorded.success and @retry::bool and t.attempts < t.max_attempts
                            then t.created_at + t.timeout_ms * interval '1 millisecond' else t.deadline end,
        last_error   = case when recorded.success then t.last_error else coalesce(@error::text, t.last_error) end
    from recorded, verdict v
    where t.tenant_id = v.tenant_id and t.id = v.id and recorded.success is not null
), closed as (` + closeRuns("false", "'another run ended the task'") + `
    from recorded, verdict v
    where e.tenant_id = v.tenant_id and e.task_id = v.id and e.completed_at is null and e.id <> recorded.id and recorded.success is not null
), moved as (
    update orchestrator.assignments a set
        status        = case when recorded.success then 'completed' when not recorded.success then 'failed' else 'executing' end,
        started_at    = coalesce(a.started_at, @started_at::timestamptz, now()),
        completed_at  = case when recorded.success is not null then now() end,
        error_message = case when recorded.success then a.error_message else coalesce(@error::text, a.error_message) end
    from recorded, verdict v
    where a.tenant_id = v.tenant_id and a.task_id = v.id and a.status in ('assigned', 'acknowledged', 'executing')
      and (recorded.success is not null or a.id = v.assignment_id)
)
select v.status as before, v.stranger, v.held, v.ahead, v.early, v.no_room, coalesce((select recorded.id::text from recorded), '') as id from verdict v`

// RecordExecution adds a run to the history of a task and returns the run's id, a UUID. A run
// without CompletedAt has begun, and the assignment is executing. A run with CompletedAt has
// ended: in the same transaction the task and the assignment are completed, or fail with the
// error. To end a run that has begun, record the run again with the id.
//
// The task must be claimed, and the assignment active, or the call fails with ErrNotHeld.
// Without an assignment the attempt must equal the claim's attempt. If a task goes back and the
// queue has no room, the call fails with ErrQueueFull. A missing task is ErrTaskNotFound. A
// missing assignment, or an assignment of a different task, is ErrAssignmentNotFound. An ended
// execution, or an execution of a different task, is ErrStatus.
func (c *Client) RecordExecution(ctx context.Context, e Execution) (id string, err error) {
	if e.Violations == nil {
		e.Violations = []any{}
	}
	violations, errViolations := sqlarg.JSON("violations", e.Violations)
	metadata, errMetadata := sqlarg.JSON("metadata", e.Metadata)
	if err := check.First(e.validate(), errViolations, errMetadata); err != nil {
		return "", wrap("record execution", err)
	}
	type row struct {
		Before         string
		Stranger, Held bool
		Early, NoRoom  bool
		Ahead, ID      string
	}
	r, err := locked[row](ctx, c, e.Retry, recordSQL, pgx.NamedArgs{
		"id": e.TaskID, "execution_id": e.ID, "assignment_id": e.AssignmentID, "attempt": e.Attempt, "started_at": sqlarg.OrNull(e.StartedAt),
		"completed_at": e.CompletedAt, "duration_ms": int64(e.Duration / time.Millisecond), "agent_id": e.AgentID, "agent_name": e.AgentName,
		"success": e.Success, "quality": e.Quality, "tokens": e.Tokens, "error": e.Error, "policy_passed": e.PolicyPassed,
		"violations": violations, "files": e.FilesUsed, "loc": e.LinesUsed, "metadata": metadata, "retry": e.Retry, "ahead": maxAhead,
	})
	switch {
	case err != nil:
	case r.Stranger:
		err = ErrAssignmentNotFound
	case !r.Held:
		err = notHeld(r.Before)
	case r.Ahead != "":
		err = check.Invalid(r.Ahead, fmt.Sprintf("must not be more than %s ahead of the database's clock", maxAhead))
	case r.Early:
		err = check.Invalid("completed_at", "must not be before started_at")
	case r.NoRoom:
		err = ErrQueueFull
	case r.ID == "":
		err = statusError("execution", "ended or another's")
	}
	return r.ID, wrap("record execution", err)
}

// executions is the list of the runs of the task @task_id.
var executions = keyset.List[executionRow, Execution]{
	Select: `
select e.id::text as id, e.task_id, coalesce(e.assignment_id, '') as assignment_id, e.attempt_number as attempt, e.started_at, e.completed_at,
       coalesce(e.execution_time_ms, 0) as execution_time_ms, e.agent_id, e.agent_name, e.success, e.quality_score, e.tokens_used, e.error_message,
       e.policy_passed, e.policy_violations, e.budget_used_files, e.budget_used_loc, e.execution_metadata
from orchestrator.executions e where e.task_id = @task_id`,
	Key:     []keyset.Column{{SQL: "e.started_at", Type: keyset.Time}, {SQL: "e.id", Type: keyset.UUID}},
	ID:      func(r executionRow) string { return r.ID },
	Row:     "orchestrator.executions e where e.task_id = @task_id and e.id::text = @after::text",
	Convert: keyset.Always(executionRow.execution),
	Unknown: ErrExecutionNotFound,
}

// executionRow is a row of orchestrator.executions.
type executionRow struct {
	ID, TaskID, AssignmentID       string
	Attempt                        int
	StartedAt                      time.Time
	CompletedAt                    *time.Time
	ExecutionTimeMs                int64
	AgentID, AgentName             string
	Success                        *bool
	QualityScore                   *float64
	TokensUsed                     *int
	ErrorMessage                   *string
	PolicyPassed                   *bool
	PolicyViolations               []any
	BudgetUsedFiles, BudgetUsedLoc *int
	ExecutionMetadata              map[string]any
}

func (r executionRow) execution() Execution {
	return Execution{
		ID: r.ID, TaskID: r.TaskID, AssignmentID: r.AssignmentID, Attempt: r.Attempt, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt,
		Duration: time.Duration(r.ExecutionTimeMs) * time.Millisecond, AgentID: r.AgentID, AgentName: r.AgentName, Success: r.Success,
		Quality: r.QualityScore, Tokens: r.TokensUsed, Error: r.ErrorMessage, PolicyPassed: r.PolicyPassed, Violations: r.PolicyViolations,
		FilesUsed: r.BudgetUsedFiles, LinesUsed: r.BudgetUsedLoc, Metadata: r.ExecutionMetadata,
	}
}

// Executions returns the runs of a task, the earliest first, 1000 and modules.PageBytes at
// most. For further runs see ExecutionsPage.
func (c *Client) Executions(ctx context.Context, taskID string) ([]Execution, error) {
	p, err := c.ExecutionsPage(ctx, taskID, listLimit, "")
	return p.Items, err
}

// ExecutionsPage is Executions for callers of page after page; limit is 1000 at most, and 1000
// when 0. An after that is no run of the task is ErrExecutionNotFound.
func (c *Client) ExecutionsPage(ctx context.Context, taskID string, limit int, after string) (modules.Page[Execution], error) {
	if err := check.First(check.ID("task_id", taskID), checkLimit(&limit), keyset.CheckID(after)); err != nil {
		return modules.Page[Execution]{}, wrap("executions", err)
	}
	p, err := page(ctx, c, executions, limit, after, pgx.NamedArgs{"task_id": taskID})
	return p, wrap("executions", err)
}
