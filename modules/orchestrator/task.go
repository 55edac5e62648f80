package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Task is a piece of work in the queue.
type Task struct {
	ID                   string         `json:"id"` // the caller's, 1 to 255 bytes
	Type                 TaskType       `json:"type"`
	Description          string         `json:"description"`
	Priority             int            `json:"priority"`     // 1 to 10, higher first; default 1
	Timeout              time.Duration  `json:"timeout_ns"`   // how long a claim lasts, whole milliseconds; default default_timeout_ms
	Attempts             int            `json:"attempts"`     // how often workers claimed the task
	MaxAttempts          int            `json:"max_attempts"` // default max_retries
	Budget               Budget         `json:"budget"`
	RequiredCapabilities map[string]any `json:"required_capabilities"`
	Metadata             map[string]any `json:"metadata"`

	// The queue sets the fields below; Enqueue ignores the fields.
	Status      TaskStatus `json:"status"`
	CreatedAt   time.Time  `json:"created_at"`
	DequeuedAt  *time.Time `json:"dequeued_at"` // of the last claim
	CompletedAt *time.Time `json:"completed_at"`
	Deadline    time.Time  `json:"deadline"`   // CreatedAt plus Timeout; of a claimed task the end of the claim
	ClaimedBy   *string    `json:"claimed_by"` // the worker of the last claim
	LastError   *string    `json:"last_error"`
}

// Budget is how much a task may change.
type Budget struct {
	MaxFiles int `json:"max_files"` // default 40
	MaxLOC   int `json:"max_loc"`   // lines; default 1500
}

// The budget of a task without a budget.
const (
	DefaultMaxFiles = 40
	DefaultMaxLOC   = 1500
)

func (t Task) validate() error {
	return check.First(
		check.ID("id", t.ID),
		check.Enum("type", t.Type, taskTypes),
		check.Storable("description", t.Description),
		check.That("priority", "must be from 1 to 10, and 0 for the default", t.Priority >= 0 && t.Priority <= 10),
		check.Timeout("timeout", t.Timeout),
		check.Int32("attempts", t.Attempts, 0),
		check.Int32("max_attempts", t.MaxAttempts, 0),
		check.That("attempts", "must be less than max_attempts", t.MaxAttempts == 0 || t.Attempts < t.MaxAttempts),
		check.Int32("budget.max_files", t.Budget.MaxFiles, 0),
		check.Int32("budget.max_loc", t.Budget.MaxLOC, 0),
	)
}

// taskRow is a row of orchestrator.tasks, with taskColumns.
type taskRow struct {
	ID, TaskType, Description          string
	Priority                           int
	Timeout                            time.Duration
	Attempts, MaxAttempts              int
	BudgetMaxFiles, BudgetMaxLoc       int
	RequiredCapabilities, TaskMetadata map[string]any
	Status                             string
	CreatedAt                          time.Time
	DequeuedAt, CompletedAt            *time.Time
	Deadline                           time.Time
	ClaimedBy, LastError               *string
	Seq                                int64
}

const taskColumns = `t.id, t.task_type, t.description, t.priority, t.timeout_ms * interval '1 millisecond' as timeout,
t.attempts, t.max_attempts, t.budget_max_files, t.budget_max_loc, t.required_capabilities, t.task_metadata, t.status,
t.created_at, t.dequeued_at, t.completed_at, t.deadline, t.claimed_by, t.last_error, t.seq`

func (r taskRow) task() Task {
	return Task{
		ID: r.ID, Type: TaskType(r.TaskType), Description: r.Description, Priority: r.Priority, Timeout: r.Timeout,
		Attempts: r.Attempts, MaxAttempts: r.MaxAttempts, Budget: Budget{r.BudgetMaxFiles, r.BudgetMaxLoc},
		RequiredCapabilities: r.RequiredCapabilities, Metadata: r.TaskMetadata, Status: TaskStatus(r.Status),
		CreatedAt: r.CreatedAt, DequeuedAt: r.DequeuedAt, CompletedAt: r.CompletedAt, Deadline: r.Deadline,
		ClaimedBy: r.ClaimedBy, LastError: r.LastError,
	}
}

// list converts rows for callers. No rows are an empty slice.
func list[R, T any](rows []R, convert func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}

// Task returns the task, or ErrTaskNotFound.
func (c *Client) Task(ctx context.Context, id string) (Task, error) {
	if err := check.ID("id", id); err != nil {
		return Task{}, wrap("task", err)
	}
	r, err := one[taskRow](ctx, c, "select "+taskColumns+" from orchestrator.tasks t where t.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return Task{}, wrap("task", store.OrMissing(err, ErrTaskNotFound))
	}
	return r.task(), nil
}

// queued is the queue. The two parts of a later page are ranges of the index: the rest of the last
// task's priority, and the lower priorities.
var queued = keyset.List[taskRow, Task]{
	Nested: func(behind string, bound int) string {
		if behind == "" {
			return fmt.Sprintf("select * from (select "+taskColumns+" from orchestrator.tasks t where t.status = 'queued' order by t.priority desc, t.seq limit %d) t limit @page_limit::int", bound)
		}
		return fmt.Sprintf("select "+taskColumns+` from (select l.priority, l.seq from orchestrator.tasks l where l.id = @after::text) last, lateral (
    (select * from orchestrator.tasks q where q.status = 'queued' and q.priority = last.priority and q.seq > last.seq
     order by q.seq limit %[1]d)
    union all
    (select * from orchestrator.tasks q where q.status = 'queued' and q.priority < last.priority
     order by q.priority desc, q.seq limit %[1]d)
) t order by t.priority desc, t.seq limit @page_limit::int`, bound)
	},
	ID:      func(r taskRow) string { return r.ID },
	Row:     "orchestrator.tasks where id = @after::text",
	Convert: keyset.Always(taskRow.task),
	Unknown: ErrTaskNotFound,
}

// Queued returns the queued tasks, the highest priority first, among equals in the order of the
// enqueues; limit is 1000 at most, and 1000 when 0. With the id of a page's last task Queued
// returns the next page, also if a worker has claimed the last task since. A missing last task
// is ErrTaskNotFound.
//
// A page ends after modules.PageBytes too, with fewer tasks than limit: QueuedPage reports
// whether a page follows.
func (c *Client) Queued(ctx context.Context, limit int, after ...string) ([]Task, error) {
	p, err := c.QueuedPage(ctx, limit, keyset.Last(after))
	return p.Items, err
}

// QueuedPage is Queued for callers of page after page.
func (c *Client) QueuedPage(ctx context.Context, limit int, after string) (modules.Page[Task], error) {
	if err := check.First(checkLimit(&limit), keyset.CheckID(after)); err != nil {
		return modules.Page[Task]{}, wrap("queued", err)
	}
	p, err := page(ctx, c, queued, limit, after, nil)
	return p, wrap("queued", err)
}

// Each half is in the order of an index.
var timedOutSQL = fmt.Sprintf("select "+taskColumns+` from (
    (select * from orchestrator.tasks q where q.status = 'queued' and q.deadline < now() order by q.deadline limit %[1]d)
    union all
    (select * from orchestrator.tasks d where d.status = 'dequeued' and d.deadline < now() order by d.deadline limit %[1]d)
) t order by t.deadline, t.seq limit %[1]d`, listLimit)

// TimedOut returns tasks past the deadline, the longest overdue first, 1000 and
// modules.PageBytes at most: tasks that no worker claimed within the timeout, and claimed tasks
// that the worker has not finished in time. Claim gives overdue claimed tasks out again.
func (c *Client) TimedOut(ctx context.Context) ([]Task, error) {
	rows, err := many[taskRow](ctx, c, timedOutSQL, nil)
	if err != nil {
		return nil, wrap("timed out", err)
	}
	return list(rows, taskRow.task), nil
}
