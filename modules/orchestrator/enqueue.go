package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/txcontext"
)

// enqueueLock is the key of a tenant's queue. The lock ends with the transaction.
const enqueueLock = "(hashtextextended('orchestrator.tasks ' || app.current_tenant(), 0))"

// Together, concurrent calls that add to the queue would exceed the capacity: near the capacity
// a tenant's calls wait for each other. Calls far from the capacity share the lock.
const (
	enqueueLockSQL   = "select pg_advisory_xact_lock" + enqueueLock
	enqueueSharedSQL = "select pg_advisory_xact_lock_shared" + enqueueLock
)

// reserve is how many tasks concurrent calls under the shared lock can add unseen: one for each
// session of the server.
const reserve = "current_setting('max_connections')::int"

// setting is SQL for a number of the queue's settings, or fallback if the row is missing.
func setting(key string, fallback int) string {
	return fmt.Sprintf("coalesce((select (config_value #>> '{}')::numeric::int from orchestrator.queue_config where config_key = '%s'), %d)", key, fallback)
}

// capacity is how many queued tasks a tenant may have.
var capacity = setting(MaxCapacity, 1000)

// depth is SQL for the number of queued tasks, by the counts that every write of a task keeps.
// Under the lock of enqueueLockSQL no concurrent call adds to the depth.
const depth = "(select coalesce(sum(k.tasks), 0)::bigint from orchestrator.task_counts k where k.status = 'queued')"

// full is SQL for whether the queue is at capacity.
var full = "(" + depth + " >= " + capacity + ")"

// All of the tasks or none: the insert has no rows if a task is refused. The depth in the verdict
// is at most the capacity, so an enqueue that adds nothing always fits. The statement locks a
// task that a concurrent Claim takes, and judges the task after the Claim. Under the shared lock
// (@shared) the statement adds only if the reserve stays free. A task of the same id, which a
// concurrent call added and a Claim took, is not stored.
var enqueueSQL = `
with settings as (
    select ` + capacity + ` as capacity, ` + setting(DefaultTimeoutMS, 30000) + ` as timeout_ms,
           ` + setting(MaxRetries, 3) + ` as max_attempts
), wanted as (
    select w.n, w.id, w.task_type, w.description, w.priority, coalesce(nullif(w.timeout_ms, 0), s.timeout_ms) as timeout_ms,
           w.attempts, coalesce(nullif(w.max_attempts, 0), s.max_attempts) as max_attempts,
           w.max_files, w.max_loc, w.capabilities::jsonb as capabilities, w.metadata::jsonb as metadata
    from unnest(@ids::text[], @types::text[], @descriptions::text[], @priorities::int[], @timeouts::bigint[], @attempts::int[], @max_attempts::int[],
                @max_files::int[], @max_loc::int[], @capabilities::text[], @metadata::text[])
         with ordinality as w(id, task_type, description, priority, timeout_ms, attempts, max_attempts, max_files, max_loc, capabilities, metadata, n),
         settings s
), existing as (
    select t.id, t.status from orchestrator.tasks t where t.id = any(@ids::text[]) order by t.id for no key update
), verdict as (
    select (select e.status from existing e where e.status <> 'queued' order by e.id limit 1) as refused,
           cardinality(@ids::text[]) - (select count(*) from existing) as added,
           least(` + depth + `, (select capacity from settings)) as depth,
           (select capacity from settings) as capacity, ` + reserve + ` as reserve,
           (select bool_or(w.attempts >= w.max_attempts) from wanted w) as exhausted
), inserted as (
    insert into orchestrator.tasks as t (id, task_type, description, priority, timeout_ms, attempts, max_attempts, budget_max_files, budget_max_loc,
        required_capabilities, task_metadata, deadline)
    select w.id, w.task_type, w.description, w.priority, w.timeout_ms, w.attempts, w.max_attempts, w.max_files, w.max_loc,
           w.capabilities, w.metadata, now() + w.timeout_ms * interval '1 millisecond'
    from wanted w, verdict v
    where v.refused is null and v.depth + v.added + case when @shared::bool then v.reserve else 0 end <= v.capacity and not v.exhausted
    order by w.n
    on conflict (tenant_id, id) do update set
        task_type = excluded.task_type, description = excluded.description, priority = excluded.priority, timeout_ms = excluded.timeout_ms, attempts = excluded.attempts, max_attempts = excluded.max_attempts,
        budget_max_files = excluded.budget_max_files, budget_max_loc = excluded.budget_max_loc,
        required_capabilities = excluded.required_capabilities, task_metadata = excluded.task_metadata,
        deadline = t.created_at + excluded.timeout_ms * interval '1 millisecond'
    where t.status = 'queued'
    returning 1
)
select coalesce(refused, '') as refused, depth + added > capacity as full, exhausted, added < cardinality(@ids::text[]) as replaced,
       (select count(*) from inserted) as stored, depth + added + 2 * reserve <= capacity as roomy
from verdict`

// enqueueLimit is the largest count of tasks in a call.
const enqueueLimit = 10_000

// Enqueue adds a task to the queue. If a task of the same id is still queued, the queued task
// gets the new fields of t and keeps the place; in any other status the call fails with
// ErrStatus. A queue with max_capacity queued tasks refuses a new task: ErrQueueFull. The
// capacity is for each tenant.
func (c *Client) Enqueue(ctx context.Context, t Task) error {
	return wrap("enqueue", c.enqueue(ctx, []Task{t}))
}

// EnqueueAll is Enqueue for many tasks, in order and in the same round trip: EnqueueAll adds
// all of the tasks or none. At most 10,000 tasks, each id once.
func (c *Client) EnqueueAll(ctx context.Context, tasks []Task) error {
	return wrap("enqueue all", c.enqueue(ctx, tasks))
}

func (c *Client) enqueue(ctx context.Context, tasks []Task) error {
	args, err := enqueueArgs(tasks)
	if err != nil {
		return err
	}
	tenant := c.db.Tenant(ctx)
	// The reserve counts on one task of each transaction that shares the lock.
	if len(tasks) == 1 && c.roomy.has(tenant) && txcontext.FromContext(ctx) == nil {
		args["shared"] = true
		v, err := c.tryEnqueue(ctx, enqueueSharedSQL, args)
		if err == nil {
			err = v.err()
		}
		if err != nil && !errors.Is(err, ErrQueueFull) || v.Stored == 1 {
			return err
		}
	}
	args["shared"] = false
	v, err := c.tryEnqueue(ctx, enqueueLockSQL, args)
	if err != nil {
		return err
	}
	c.roomy.set(tenant, v.Roomy)
	return v.err()
}

// enqueued is the answer of enqueueSQL.
type enqueued struct {
	Refused         string
	Full, Exhausted bool
	Replaced        bool // queued tasks have new fields
	Stored          int  // tasks
	Roomy           bool // enqueues of one task may share the lock
}

func (v enqueued) err() error {
	switch {
	case v.Refused != "":
		return statusError("task", v.Refused)
	case v.Exhausted:
		return check.Invalid("attempts", "must be less than max_attempts")
	case v.Full:
		return ErrQueueFull
	}
	return nil
}

func (c *Client) tryEnqueue(ctx context.Context, lock string, args pgx.NamedArgs) (enqueued, error) {
	rows, err := after[enqueued](ctx, c, lock, enqueueSQL, args)
	if err != nil {
		return enqueued{}, err
	}
	if rows[0].Replaced && rows[0].err() == nil { // a task may have moved to the head of the queue
		c.positions.forget(c.db.Tenant(ctx))
	}
	return rows[0], nil
}

// enqueueArgs returns the tasks as an array for each column.
func enqueueArgs(tasks []Task) (pgx.NamedArgs, error) {
	n := len(tasks)
	if n == 0 || n > enqueueLimit {
		return nil, check.Invalid("tasks", fmt.Sprintf("must be from 1 to %d", enqueueLimit))
	}
	ids, types, descriptions := make([]string, n), make([]string, n), make([]string, n)
	priorities, attempts, maxAttempts := make([]int, n), make([]int, n), make([]int, n)
	files, loc, timeouts := make([]int, n), make([]int, n), make([]int64, n)
	capabilities, metadata := make([]string, n), make([]string, n)
	seen := make(map[string]bool, n)
	for i, t := range tasks {
		if err := check.First(t.validate(), check.That("id", "must be there once", !seen[t.ID])); err != nil {
			return nil, err
		}
		seen[t.ID] = true
		ids[i], types[i], descriptions[i] = t.ID, string(t.Type), t.Description
		priorities[i], attempts[i], maxAttempts[i] = cmp.Or(t.Priority, 1), t.Attempts, t.MaxAttempts
		files[i], loc[i] = cmp.Or(t.Budget.MaxFiles, DefaultMaxFiles), cmp.Or(t.Budget.MaxLOC, DefaultMaxLOC)
		timeouts[i] = int64(t.Timeout / time.Millisecond)
		var errCapabilities, errMetadata error
		capabilities[i], errCapabilities = sqlarg.JSON("required_capabilities", t.RequiredCapabilities)
		metadata[i], errMetadata = sqlarg.JSON("metadata", t.Metadata)
		if err := check.First(errCapabilities, errMetadata); err != nil {
			return nil, err
		}
	}
	return pgx.NamedArgs{
		"ids": ids, "types": types, "descriptions": descriptions, "priorities": priorities, "timeouts": timeouts,
		"attempts": attempts, "max_attempts": maxAttempts, "max_files": files, "max_loc": loc,
		"capabilities": capabilities, "metadata": metadata,
	}, nil
}
