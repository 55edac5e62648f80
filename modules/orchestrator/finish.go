package orchestrator

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
)

// Claimed restricts a call to a claim, see Held.
type Claimed struct {
	attempt int
	at      *time.Time
}

// Held makes Assign, Complete, Fail or Retry fail with ErrNotHeld unless the claim that
// returned t still lasts: a slow worker does not finish a task that a faster worker has claimed
// since.
func Held(t Task) Claimed { return Claimed{t.Attempts, t.DequeuedAt} }

// heldSQL is the condition of Held on the task t.
const heldSQL = `(@attempt::int is null
            or (t.status = 'dequeued' and t.attempts = @attempt::int and t.dequeued_at is not distinct from @dequeued_at::timestamptz))`

// restrict adds the arguments of heldSQL.
func restrict(args pgx.NamedArgs, held []Claimed) error {
	args["attempt"], args["dequeued_at"] = nil, nil
	if len(held) == 0 {
		return nil
	}
	h := held[len(held)-1]
	args["attempt"], args["dequeued_at"] = h.attempt, h.at
	err := check.Int32("attempts", h.attempt, 0)
	if h.at != nil {
		err = check.First(err, check.Time("dequeued_at", *h.at))
	}
	return check.Within("held", err)
}

// ending is the common row of Complete, Fail and Retry.
type ending struct {
	Before                string // the task's status
	Held                  bool
	NoRoom                bool // in the queue, for a task that would go back
	Attempts, MaxAttempts int
	Now                   *string // the task's new status, nil without a change
}

// endSQL ends the claim of a task and the assignment, if the status allows the change. Every
// statement locks the task's row before the assignment's row. @allowed are the statuses from
// which a task may end. With retry a task goes back to the queue while the task has attempts
// left. @otherwise is the status of every remaining task, null for no change. Without retry the
// statement does not look at the room in the queue. For an argument retry the server would plan each
// call anew, to save the look.
func endSQL(retry bool) string {
	back, noRoom := "false", "false"
	if retry {
		back = "task.attempts < task.max_attempts"
		noRoom = "case when " + back + " and task.held and task.status = any(@allowed::text[]) then " + full + " else false end"
	}
	return `
with task as (
    select t.tenant_id, t.id, t.status, t.attempts, t.max_attempts,
           ` + heldSQL + ` as held
    from orchestrator.tasks t where t.id = @id
), target as (
    select task.*, case when ` + back + ` then 'queued' else @otherwise::text end as next,
           ` + noRoom + ` as no_room
    from task
), ended as (
    update orchestrator.tasks t set
        status       = target.next,
        completed_at = case when target.next = 'queued' then null else now() end,
        deadline     = case when target.next = 'queued' then t.created_at + t.timeout_ms * interval '1 millisecond' else t.deadline end,
        last_error   = coalesce(nullif(@error::text, ''), t.last_error)
    from target
    where t.tenant_id = target.tenant_id and t.id = target.id and target.held and target.next is not null
      and target.status = any(@allowed::text[]) and not target.no_room
    returning t.tenant_id, t.id, t.status
), released as (
    update orchestrator.assignments a set
        status        = case ended.status when 'completed' then 'completed' when 'failed' then 'failed' else @released::text end,
        completed_at  = now(),
        error_message = coalesce(nullif(@error::text, ''), a.error_message)
    from ended
    where a.tenant_id = ended.tenant_id and a.task_id = ended.id and a.status in ('assigned', 'acknowledged', 'executing')
), closed as (` + closeRuns("ended.status = 'completed'", "nullif(@error::text, '')") + `
    from ended where e.tenant_id = ended.tenant_id and e.task_id = ended.id and e.completed_at is null
)
select task.status as before, task.held, task.attempts, task.max_attempts, task.no_room, ended.status as now
from target task left join ended on ended.id = task.id`
}

var endWithoutRetrySQL, endWithRetrySQL = endSQL(false), endSQL(true)

// closeRuns returns an update of executions e, up to the FROM, for runs that are open when the
// task or the assignment ends.
func closeRuns(success, why string) string {
	return `
    update orchestrator.executions e set
        completed_at      = greatest(now(), e.started_at),
        execution_time_ms = greatest(0, extract(epoch from now() - e.started_at) * 1000)::bigint,
        success           = ` + success + `,
        error_message     = coalesce(e.error_message, ` + why + `)`
}

// end runs endSQL, and returns the reason if endSQL changed nothing.
func (c *Client) end(ctx context.Context, id string, retry bool, held []Claimed, args pgx.NamedArgs) (ending, error) {
	if err := check.ID("id", id); err != nil {
		return ending{}, err
	}
	args["id"] = id
	if err := restrict(args, held); err != nil {
		return ending{}, err
	}
	sql := endWithoutRetrySQL
	if retry {
		sql = endWithRetrySQL
	}
	e, err := locked[ending](ctx, c, retry, sql, args)
	switch {
	case err != nil:
		return ending{}, err
	case e.Now != nil:
		return e, nil
	case !e.Held:
		return ending{}, notHeld(e.Before)
	case e.NoRoom:
		return ending{}, ErrQueueFull
	case slices.Contains(args["allowed"].([]string), e.Before): // the status was allowed
		return ending{}, ErrNoAttempts
	}
	return ending{}, statusError("task", e.Before)
}

// Complete ends a claimed task, the assignment and the runs with success. A task in a different
// status is an ErrStatus, a missing task ErrTaskNotFound.
func (c *Client) Complete(ctx context.Context, id string, held ...Claimed) error {
	_, err := c.end(ctx, id, false, held, pgx.NamedArgs{
		"allowed": []string{"dequeued"}, "otherwise": "completed", "error": nil, "released": "completed",
	})
	return wrap("complete", err)
}

// Fail ends a claimed task and the assignment with an error; an empty text keeps the previous
// error, if any. With retry the task goes back to the queue while the task has attempts left,
// and requeued is true. A queue without room is ErrQueueFull, and nothing changes. A task in a
// different status is an ErrStatus, a missing task ErrTaskNotFound.
func (c *Client) Fail(ctx context.Context, id, errorText string, retry bool, held ...Claimed) (requeued bool, err error) {
	if err := check.Storable("error_text", errorText); err != nil {
		return false, wrap("fail", err)
	}
	e, err := c.end(ctx, id, retry, held, pgx.NamedArgs{
		"allowed": []string{"dequeued"}, "otherwise": "failed", "error": errorText, "released": "failed",
	})
	return err == nil && *e.Now == string(TaskQueued), wrap("fail", err)
}

// Retry puts a claimed or failed task back into the queue, cancels the assignment, and returns
// the count of used attempts. A task without attempts left is an ErrNoAttempts, a queue without
// room ErrQueueFull, a task in a different status an ErrStatus, a missing task ErrTaskNotFound.
func (c *Client) Retry(ctx context.Context, id string, held ...Claimed) (attempts int, err error) {
	e, err := c.end(ctx, id, true, held, pgx.NamedArgs{
		"allowed": []string{"dequeued", "failed"}, "otherwise": nil, "error": nil, "released": "cancelled",
	})
	return e.Attempts, wrap("retry", err)
}

// cancelBatch is the largest number of tasks that a statement of CancelQueued cancels.
const cancelBatch = 2000

// The statement cancels the next tasks of a range of the queue. The range begins behind the
// previous statement's last task, and ends at the last task that was queued at the first
// statement. The statement locks in the order of the ids, as EnqueueAll locks tasks: no deadlock
// between the two.
const cancelQueuedSQL = `
with range as materialized (
    select coalesce(@last::bigint, (select t.seq from orchestrator.tasks t where t.status = 'queued' order by t.seq desc limit 1)) as last
), next as materialized (
    select t.tenant_id, t.id, t.seq from orchestrator.tasks t
    where t.status = 'queued' and t.seq > @after::bigint and t.seq <= (select last from range)
    order by t.seq limit @limit::int
), queued as (
    select t.tenant_id, t.id from orchestrator.tasks t
    where t.status = 'queued' and t.id = any(array(select id from next)) order by t.id for no key update
), cancelled as (
    update orchestrator.tasks t set status = 'cancelled', completed_at = now()
    from queued q where t.tenant_id = q.tenant_id and t.id = q.id returning t.id
)
select (select count(*) from next) as found, (select count(*) from cancelled) as cancelled, (select max(seq) from next) as after, (select last from range) as last`

// CancelQueued cancels the tasks that are queued at the call, and returns the count. Claimed
// tasks go on. CancelQueued cancels in batches, each in a separate transaction: with an error
// CancelQueued returns the count of the committed batches, and a new call goes on.
func (c *Client) CancelQueued(ctx context.Context) (int64, error) {
	type row struct {
		Found, Cancelled int64
		After, Last      *int64
	}
	var total int64
	args := pgx.NamedArgs{"after": 0, "last": nil, "limit": cancelBatch}
	for {
		r, err := one[row](ctx, c, cancelQueuedSQL, args)
		if err != nil {
			return total, wrap("cancel queued", err)
		}
		total += r.Cancelled
		if r.Found < cancelBatch {
			return total, nil
		}
		args["after"], args["last"] = r.After, r.Last
	}
}
