package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/txcontext"
)

// claimLimit is the largest count of tasks in a Claim.
const claimLimit = 1000

// takeBackSQL ends overdue claims, with the assignments: the worker is dead or too slow. A task
// without attempts left fails. takeBackSQL does not wait for a concurrent Claim, or for a
// worker that finishes at last. takeBackSQL takes back ten tasks more than the Claim asks for at
// most: many overdue claims are the work of many callers. takeBackSQL takes back no more tasks than
// the queue has room for; only concurrent statements may exceed the capacity together.
var takeBackSQL = `
with room as materialized (
    select case when exists (select from orchestrator.tasks t where t.status = 'dequeued' and t.deadline < now() and t.deadline >= @swept::timestamptz)
                then greatest(0, least(@n::int + 10, ` + capacity + ` - ` + depth + `)) else 0 end as n
), late as (
    select t.tenant_id, t.id from orchestrator.tasks t
    where t.status = 'dequeued' and t.deadline < now() and t.deadline >= @swept::timestamptz
    order by t.deadline limit (select room.n from room) for no key update skip locked
), back as (
    update orchestrator.tasks t set
        status       = case when t.attempts < t.max_attempts then 'queued' else 'failed' end,
        completed_at = case when t.attempts < t.max_attempts then null else now() end,
        deadline     = t.created_at + t.timeout_ms * interval '1 millisecond',
        last_error   = 'the worker did not finish in time'
    from late where t.tenant_id = late.tenant_id and t.id = late.id
    returning t.tenant_id, t.id
), closed as (` + closeRuns("false", "'the task was not finished in time'") + `
    from back where e.tenant_id = back.tenant_id and e.task_id = back.id and e.completed_at is null
)
update orchestrator.assignments a set
    status = 'failed', completed_at = now(), error_message = 'the task was not finished in time', error_code = 'timeout'
from back
where a.tenant_id = back.tenant_id and a.task_id = back.id and a.status in ('assigned', 'acknowledged', 'executing')`

// sizeSQL is the size of a task's own texts, in bytes.
const sizeSQL = "octet_length(t.description) + octet_length(t.required_capabilities::text) + octet_length(t.task_metadata::text) + coalesce(octet_length(t.last_error), 0)"

// picked is the part of claimSQL for a queue mode: the server runs only the part of the mode
// that is set, and each part has an index. The tasks end after @bytes, for any @n; the
// statement's end releases the locks of the remaining tasks. The outer limit stops the inner
// select, which locks no further task. %[1]d is the [keyset.Bound] of @n.
func picked(mode QueueMode, order string) string {
	return `(
    select t.tenant_id, t.id, sum(t.size) over (order by ` + order + `) - t.size as size_before from (
        select * from (
            select t.tenant_id, t.id, t.priority, t.seq, t.deadline, ` + sizeSQL + ` as size
            from orchestrator.tasks t
            where t.status = 'queued' and (select m.mode from mode m) = '` + string(mode) + `'
            order by ` + order + ` limit %[1]d for no key update skip locked
        ) t limit @n::int
    ) t
)`
}

// pickedBehind is picked for a claim from a position. The server takes the tasks of each part in
// turn, and stops after @n tasks: the limit has no order of its own, and the nested loop keeps the
// order of the parts. parts are rows f with the key of a range of the index and the seq behind which
// the range begins. again is the seq of the first task of the range that was claimed before: such a
// task begins the range earlier. The server reads nothing for a mode that is not set.
func pickedBehind(mode QueueMode, order, parts, again, inRange string) string {
	return `(
    select t.tenant_id, t.id, sum(t.size) over (order by ` + order + `) - t.size as size_before from (
        select t.* from (select f.* from ` + parts + ` where (select m.mode from mode m) = '` + string(mode) + `') f, lateral (
            select least(f.seq, ` + again + ` - 1) as seq offset 0
        ) floor, lateral (
            select t.tenant_id, t.id, t.priority, t.seq, ` + sizeSQL + ` as size
            from orchestrator.tasks t
            where t.status = 'queued' and t.seq > floor.seq` + inRange + `
            order by t.seq limit %[1]d for no key update skip locked
        ) t limit @n::int
    ) t
)`
}

// againSQL is SQL for the first seq of the tasks of a priority that were claimed before.
const againSQL = "(select min(a.seq) from orchestrator.tasks a where a.status = 'queued' and a.attempts > 0 and a.priority = %s)"

// claimSQL is the statement of a claim; parts are the common table expressions that pick the
// tasks, and picked is a select from them.
func claimSQL(parts, picked string) string {
	return `
with mode as materialized (
    select coalesce((select config_value #>> '{}' from orchestrator.queue_config where config_key = '` + PriorityMode + `'), 'priority') as mode
), ` + parts + `, picked as (
    select * from (` + picked + `) t where t.size_before < @bytes::bigint
)
update orchestrator.tasks t set
    status = 'dequeued', dequeued_at = now(), attempts = t.attempts + 1, claimed_by = @worker::text,
    deadline = now() + t.timeout_ms * interval '1 millisecond'
from picked p where t.tenant_id = p.tenant_id and t.id = p.id
returning ` + taskColumns + `, t.created_at + t.timeout_ms * interval '1 millisecond' as due, (select m.mode from mode m) as mode,
    (select min(d.deadline) from orchestrator.tasks d where d.status = 'dequeued' and d.deadline >= @swept::timestamptz) as ends`
}

var (
	claimWholeSQL = claimSQL(
		"by_priority as "+picked(ModePriority, "t.priority desc, t.seq")+", by_age as "+picked(ModeFIFO, "t.seq")+
			", by_deadline as "+picked(ModeDeadline, "t.deadline, t.seq"),
		"select * from by_priority union all select * from by_age union all select * from by_deadline")
	claimBehindSQL = claimSQL(
		"by_priority as "+pickedBehind(ModePriority, "t.priority desc, t.seq", "unnest(@floors::bigint[]) with ordinality f(seq, n)",
			fmt.Sprintf(againSQL, "11 - f.n"), " and t.priority = 11 - f.n")+
			", by_age as "+pickedBehind(ModeFIFO, "t.seq", "(select @fifo::bigint as seq) f",
			"(select min(p.seq) from generate_series(1, 10) n, lateral (select "+fmt.Sprintf(againSQL, "n")+" as seq offset 0) p)", ""),
		"select * from by_priority union all select * from by_age")
)

// claimedRow is a claimed task with the sort key of the queue modes.
type claimedRow struct {
	taskRow
	Due  time.Time
	Mode string
	Ends *time.Time // the earliest end of a claim
}

// Claim gives a worker up to n queued tasks (1 to 1000), in the order of the setting
// priority_mode, and counts an attempt for each task. Concurrent workers never get the same
// task, and never wait for each other. Claim may return fewer tasks than n, or none: an empty
// slice. The tasks of a call end after modules.PageBytes.
//
// A claim ends at the task's Deadline, after the task's timeout or when the assignment ends.
// Until then call Complete, Fail, Retry or RecordExecution. If a worker dies, the next Claim
// after the Deadline gives the task out again, or fails the task if no attempts are left. A
// task may run twice if the worker is too slow: pass Held to the calls that finish the task.
func (c *Client) Claim(ctx context.Context, n int, worker string) ([]Task, error) {
	if err := check.First(check.That("n", "must be from 1 to 1000", n >= 1 && n <= claimLimit), check.ID("worker", worker)); err != nil {
		return nil, wrap("claim", err)
	}
	rows, err := c.claim(ctx, n, worker)
	if err != nil {
		return nil, wrap("claim", err)
	}
	// RETURNING has no order.
	slices.SortFunc(rows, func(a, b claimedRow) int {
		switch QueueMode(a.Mode) {
		case ModePriority:
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Seq, b.Seq))
		case ModeDeadline:
			return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Seq, b.Seq))
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	return list(rows, func(r claimedRow) Task { return r.task() }), nil
}

// claim claims from the tenant's position, or looks at the whole queue.
func (c *Client) claim(ctx context.Context, n int, worker string) ([]claimedRow, error) {
	bound := keyset.Bound(n)
	args := pgx.NamedArgs{"n": n, "worker": worker, "bytes": modules.PageBytes, "swept": time.Time{}}
	if txcontext.FromContext(ctx) != nil { // a later rollback puts the tasks back
		return after[claimedRow](ctx, c, takeBackSQL, fmt.Sprintf(claimWholeSQL, bound), args)
	}
	tenant := c.db.Tenant(ctx)
	p := c.positions.of(tenant)
	var rows []claimedRow
	if !p.due(lookEvery) {
		args["floors"], args["fifo"], args["swept"] = p.floors[:], p.fifo, p.swept
		var err error
		rows, err = after[claimedRow](ctx, c, takeBackSQL, fmt.Sprintf(claimBehindSQL, bound), args)
		if err != nil {
			c.positions.forget(tenant)
			return nil, err
		}
		c.positions.note(tenant, rows, 0)
		if len(rows) > 0 || !p.due(lookAgain) {
			return rows, nil
		}
	}
	args["swept"] = time.Time{}
	began := time.Now()
	rows, err := after[claimedRow](ctx, c, takeBackSQL, fmt.Sprintf(claimWholeSQL, bound), args)
	if err != nil {
		c.positions.forget(tenant)
		return nil, err
	}
	c.positions.note(tenant, rows, time.Since(began))
	return rows, nil
}
