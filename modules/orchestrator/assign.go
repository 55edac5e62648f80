package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// The claim lasts as long as the assignment, so no worker claims the task while an agent works
// on the task.
const assignSQL = `
with task as (
    select t.tenant_id, t.id, t.status, coalesce(nullif(@timeout_ms::bigint, 0), least(t.timeout_ms, @most_ms::bigint)) as timeout_ms,
           ` + heldSQL + ` as held
    from orchestrator.tasks t where t.id = @task_id for no key update
), assigned as (
    insert into orchestrator.assignments as a (tenant_id, id, task_id, agent_id, agent_name, agent_model_family, deadline, assignment_timeout_ms,
        routing_confidence, routing_strategy, routing_reason, assignment_metadata)
    select task.tenant_id, coalesce(nullif(@id::text, ''), gen_random_uuid()::text), task.id, @agent_id::text, @agent_name::text, @model_family::text,
           now() + task.timeout_ms * interval '1 millisecond', task.timeout_ms,
           @confidence::float8, @strategy::text, nullif(@reason::text, ''), @metadata::text::jsonb
    from task where task.status = 'dequeued' and task.held
    returning a.*
), held as (
    update orchestrator.tasks t set deadline = greatest(t.deadline, a.deadline)
    from assigned a where t.tenant_id = a.tenant_id and t.id = a.task_id
)
select task.status as before, task.held, coalesce(a.id, '') as id, coalesce(a.assigned_at, now()) as assigned_at, coalesce(a.deadline, now()) as deadline,
       task.timeout_ms * interval '1 millisecond' as timeout
from task left join assigned a on true`

// Assign gives a claimed task to an agent and returns the assignment as stored. The claim of
// the task lasts until the assignment's deadline at least. A missing task is ErrTaskNotFound, a
// task that is not claimed ErrStatus, a task with an active assignment ErrAssigned, and a taken
// id a modules.ErrConflict.
func (c *Client) Assign(ctx context.Context, a Assignment, held ...Claimed) (Assignment, error) {
	metadata, err := sqlarg.JSON("metadata", a.Metadata)
	if err := check.First(a.validate(), err); err != nil {
		return Assignment{}, wrap("assign", err)
	}
	type row struct {
		Before, ID           string
		Held                 bool
		AssignedAt, Deadline time.Time
		Timeout              time.Duration
	}
	args := pgx.NamedArgs{
		"id": a.ID, "task_id": a.TaskID, "agent_id": a.AgentID, "agent_name": a.AgentName, "model_family": a.AgentModelFamily,
		"timeout_ms": int64(a.Timeout / time.Millisecond), "most_ms": int64(MaxAssignmentTimeout / time.Millisecond),
		"confidence": a.Routing.Confidence, "strategy": a.Routing.Strategy, "reason": a.Routing.Reason, "metadata": metadata,
	}
	if err := restrict(args, held); err != nil {
		return Assignment{}, wrap("assign", err)
	}
	r, err := one[row](ctx, c, assignSQL, args)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.ConstraintName == "assignments_active_key":
		err = ErrAssigned
	case err != nil:
		err = store.OrMissing(err, ErrTaskNotFound)
	case !r.Held:
		err = notHeld(r.Before)
	case r.ID == "":
		err = unclaimed(TaskStatus(r.Before))
	}
	if err != nil {
		return Assignment{}, wrap("assign", err)
	}
	if a.Metadata == nil {
		a.Metadata = map[string]any{}
	}
	return Assignment{
		ID: r.ID, TaskID: a.TaskID, AgentID: a.AgentID, AgentName: a.AgentName, AgentModelFamily: a.AgentModelFamily, Timeout: r.Timeout,
		Routing: a.Routing, Metadata: a.Metadata, AssignedAt: r.AssignedAt, Deadline: r.Deadline, Status: Assigned, LastProgressUpdate: r.AssignedAt,
	}, nil
}

// AssignmentPatch names the changes of UpdateAssignment; nil fields stay.
type AssignmentPatch struct {
	Status    *AssignmentStatus `json:"status"`
	Progress  *float64          `json:"progress"` // 0 to 1
	Error     *string           `json:"error"`
	ErrorCode *string           `json:"error_code"` // at most 100 bytes
	Metadata  map[string]any    `json:"metadata"`   // replaces the whole
}

func (p AssignmentPatch) validate() error {
	err := check.First(check.Optional("error", p.Error), check.Optional("error_code", p.ErrorCode))
	if p.Status != nil {
		err = check.First(err, check.Enum("status", *p.Status, assignmentStatuses))
	}
	if p.Progress != nil {
		err = check.First(err, check.Share("progress", *p.Progress))
	}
	if p.ErrorCode != nil {
		err = check.First(err, check.That("error_code", "must be at most 100 bytes", len(*p.ErrorCode) <= 100))
	}
	return err
}

// A repeated status keeps the first time. Only an active assignment changes, and only forwards.
// The statement locks the task's row, then the assignment's row, and judges the locked row.
var updateAssignmentSQL = `
with task as (
    select t.tenant_id, t.id from orchestrator.tasks t
    where t.id = (select a.task_id from orchestrator.assignments a where a.id = @id) for no key update
), assignment as (
    select a.tenant_id, a.id, a.status from task join orchestrator.assignments a on a.tenant_id = task.tenant_id and a.task_id = task.id
    where a.id = @id for no key update of a
), patched as (
    update orchestrator.assignments a set
        status               = coalesce(@status::text, a.status),
        acknowledged_at      = case when @status::text = 'acknowledged' then coalesce(a.acknowledged_at, now()) else a.acknowledged_at end,
        started_at           = case when @status::text = 'executing' then coalesce(a.started_at, now()) else a.started_at end,
        completed_at         = case when @status::text in ('completed', 'failed', 'cancelled') then now() else a.completed_at end,
        progress             = coalesce(@progress::float8, a.progress),
        last_progress_update = case when @progress::float8 is null then a.last_progress_update else now() end,
        error_message        = coalesce(@error::text, a.error_message),
        error_code           = coalesce(@error_code::text, a.error_code),
        assignment_metadata  = coalesce(@metadata::text::jsonb, a.assignment_metadata)
    from assignment
    where a.tenant_id = assignment.tenant_id and a.id = assignment.id and assignment.status = any(@allowed::text[])
    returning a.tenant_id, a.id, a.task_id, a.status
), ended as (
    update orchestrator.tasks t set status = 'completed', completed_at = now()
    from patched p where t.tenant_id = p.tenant_id and t.id = p.task_id and p.status = 'completed' and t.status = 'dequeued'
), closed as (` + closeRuns("p.status = 'completed'", "@error::text") + `
    from patched p
    where e.tenant_id = p.tenant_id and e.task_id = p.task_id and e.assignment_id = p.id and e.completed_at is null
      and p.status in ('completed', 'failed', 'cancelled')
)
select assignment.status as before, patched.id is not null as patched from assignment left join patched on true`

// UpdateAssignment changes the fields that the patch sets. Progress and each status stamp their
// own time. A change of an ended assignment, or a move back, fails with ErrStatus. A missing
// assignment is ErrAssignmentNotFound.
//
// A completed assignment completes the task, as Complete does. After a failed or cancelled
// assignment the task stays claimed, and may be assigned again. Runs of an assignment end with
// the assignment.
func (c *Client) UpdateAssignment(ctx context.Context, id string, patch AssignmentPatch) error {
	args := pgx.NamedArgs{
		"id": id, "status": patch.Status, "progress": patch.Progress, "error": patch.Error, "error_code": patch.ErrorCode,
		"metadata": nil, "allowed": activeStatuses,
	}
	err := check.First(check.ID("id", id), patch.validate())
	if patch.Metadata != nil {
		metadata, encodeErr := sqlarg.JSON("metadata", patch.Metadata)
		args["metadata"], err = metadata, check.First(err, encodeErr)
	}
	if err != nil {
		return wrap("update assignment", err)
	}
	if patch.Status != nil {
		args["allowed"] = before(*patch.Status)
	}
	type row struct {
		Before  string
		Patched bool
	}
	r, err := one[row](ctx, c, updateAssignmentSQL, args)
	err = store.OrMissing(err, ErrAssignmentNotFound)
	if err == nil && !r.Patched {
		err = statusError("assignment", r.Before)
	}
	return wrap("update assignment", err)
}

// before returns the statuses from which an assignment may move to s.
func before(s AssignmentStatus) []AssignmentStatus {
	for i, a := range activeStatuses {
		if a == s {
			return activeStatuses[:i+1]
		}
	}
	return activeStatuses
}
