package orchestrator

import (
	"context"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

var taskStatuses = []TaskStatus{TaskQueued, TaskDequeued, TaskCompleted, TaskFailed, TaskCancelled}

// byTime is a list of tasks by a time of the task t.
func byTime(from, column string, newest bool, at func(taskRow) any) keyset.List[taskRow, Task] {
	return keyset.List[taskRow, Task]{
		Select:     "select " + taskColumns + " from " + from,
		Key:        []keyset.Column{{SQL: "t." + column, Type: keyset.Time}, {SQL: "t.id", Type: keyset.Text}},
		Descending: newest,
		KeyOf:      func(r taskRow) []any { return []any{at(r), r.ID} },
		Convert:    keyset.Always(taskRow.task),
	}
}

// TasksPage returns the tasks in a status: queued tasks as QueuedPage does, claimed tasks by the
// end of the claim, the earliest first, and ended tasks by the end, the newest first. limit is from
// 1 to modules.MaxPage, and modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) TasksPage(ctx context.Context, status TaskStatus, limit int, after string) (modules.Page[Task], error) {
	err := check.First(check.Enum("status", status, taskStatuses), keyset.CheckLimit(&limit))
	if err != nil {
		return modules.Page[Task]{}, wrap("tasks", err)
	}
	if status == TaskQueued {
		return c.QueuedPage(ctx, limit, after)
	}
	inStatus := "orchestrator.tasks t where t.status = '" + string(status) + "'" // a partial index fits a literal alone
	list := byTime(inStatus, "completed_at", true, func(r taskRow) any { return r.CompletedAt })
	if status == TaskDequeued {
		list = byTime(inStatus, "deadline", false, func(r taskRow) any { return r.Deadline })
	}
	p, err := page(ctx, c, list, limit, after, nil)
	return p, wrap("tasks", err)
}

// The server merges the two halves, each of which is in the order of an index.
const overdueTasks = `(
    select * from orchestrator.tasks q where q.status = 'queued' union all select * from orchestrator.tasks d where d.status = 'dequeued'
) t where t.deadline < now()`

// TimedOutPage is TimedOut for callers of page after page. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) TimedOutPage(ctx context.Context, limit int, after string) (modules.Page[Task], error) {
	list := byTime(overdueTasks, "deadline", false, func(r taskRow) any { return r.Deadline })
	p, err := page(ctx, c, list, limit, after, nil)
	return p, wrap("timed out", err)
}

// OverdueAssignmentsPage is OverdueAssignments for callers of page after page. limit is from 1 to
// modules.MaxPage, and modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) OverdueAssignmentsPage(ctx context.Context, limit int, after string) (modules.Page[Assignment], error) {
	p, err := page(ctx, c, assignments(active+" and a.deadline < now()"), limit, after, nil)
	return p, wrap("overdue assignments", err)
}
