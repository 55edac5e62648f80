package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

// newTask holds the fields of a task that a caller sets; the queue sets the rest.
type newTask struct {
	ID                   string                `json:"id"`
	Type                 orchestrator.TaskType `json:"type"`
	Description          string                `json:"description"`
	Priority             int                   `json:"priority"`
	Timeout              time.Duration         `json:"timeout_ns"`
	MaxAttempts          int                   `json:"max_attempts"`
	Budget               orchestrator.Budget   `json:"budget"`
	RequiredCapabilities map[string]any        `json:"required_capabilities"`
	Metadata             map[string]any        `json:"metadata"`
}

func (t newTask) task() orchestrator.Task {
	return orchestrator.Task{
		ID: t.ID, Type: t.Type, Description: t.Description, Priority: t.Priority, Timeout: t.Timeout,
		MaxAttempts: t.MaxAttempts, Budget: t.Budget, RequiredCapabilities: t.RequiredCapabilities, Metadata: t.Metadata,
	}
}

type newTasks struct {
	Tasks []newTask `json:"tasks"`
}

type taskFilter struct {
	Status  orchestrator.TaskStatus `query:"status"` // default queued
	Overdue bool                    `query:"overdue"`
	Limit   int                     `query:"limit"`
	After   string                  `query:"after"`
}

// taskList is a page of tasks. Next is, as in every list, the value of "after" for the next
// page, and is empty on the last page.
type taskList struct {
	Tasks []orchestrator.Task `json:"tasks"`
	Next  string              `json:"next,omitempty"`
}

type claim struct {
	Worker string `json:"worker"`
	Count  int    `json:"count"` // default 1
}

// held identifies a claim by fields of the claimed task. A slow worker with held gets
// "not_held", and does not finish a task that a faster worker has claimed since.
type held struct {
	Attempts   int        `json:"attempts"`
	DequeuedAt *time.Time `json:"dequeued_at"`
}

func (h *held) claim() []orchestrator.Claimed {
	if h == nil {
		return nil
	}
	return []orchestrator.Claimed{orchestrator.Held(orchestrator.Task{Attempts: h.Attempts, DequeuedAt: h.DequeuedAt})}
}

type completion struct {
	Held *held `json:"held"`
}

type failure struct {
	Error string `json:"error"`
	Retry bool   `json:"retry"`
	Held  *held  `json:"held"`
}

type requeued struct {
	Requeued bool `json:"requeued"`
}

type retried struct {
	Attempts int `json:"attempts"`
}

// finished is how long, at least; 0 is the orchestrator's default.
type finished struct {
	For time.Duration `json:"finished_for_ns"`
}

type newAssignment struct {
	ID               string               `json:"id"`
	AgentID          string               `json:"agent_id"`
	AgentName        string               `json:"agent_name"`
	AgentModelFamily string               `json:"agent_model_family"`
	Timeout          time.Duration        `json:"timeout_ns"`
	Routing          orchestrator.Routing `json:"routing"`
	Metadata         map[string]any       `json:"metadata"`
	Held             *held                `json:"held"`
}

type newExecution struct {
	orchestrator.Execution
	Retry bool `json:"retry"` // puts the task of a failed execution back into the queue
}

type executionList struct {
	Executions []orchestrator.Execution `json:"executions"`
	Next       string                   `json:"next,omitempty"`
}

type assignmentFilter struct {
	Agent   string                        `query:"agent"`
	Status  orchestrator.AssignmentStatus `query:"status"`
	Overdue bool                          `query:"overdue"`
	Limit   int                           `query:"limit"`
	After   string                        `query:"after"`
}

type assignmentList struct {
	Assignments []orchestrator.Assignment `json:"assignments"`
	Next        string                    `json:"next,omitempty"`
}

type snapshotList struct {
	Snapshots []orchestrator.Snapshot `json:"snapshots"`
	Next      string                  `json:"next,omitempty"`
}

type settingList struct {
	Settings map[string]json.RawMessage `json:"settings"`
}

func taskRoutes(c *orchestrator.Client) routes {
	return routes{
		"POST /tasks": makes(http.StatusCreated, at("/tasks/"),
			func(ctx context.Context, in posted[newTask]) (made, error) {
				return made{in.Body.ID}, c.Enqueue(ctx, in.Body.task())
			}),
		"POST /tasks/batch": gives(func(ctx context.Context, in posted[newTasks]) (affected, error) {
			tasks := make([]orchestrator.Task, len(in.Body.Tasks))
			for i, t := range in.Body.Tasks {
				tasks[i] = t.task()
			}
			return affected{int64(len(tasks))}, c.EnqueueAll(ctx, tasks)
		}),
		// The tasks in a status, or with overdue the tasks past the deadline.
		"GET /tasks": gives(func(ctx context.Context, f taskFilter) (taskList, error) {
			read := func() (modules.Page[orchestrator.Task], error) {
				return c.TasksPage(ctx, cmp.Or(f.Status, orchestrator.TaskQueued), f.Limit, f.After)
			}
			if f.Overdue {
				if f.Status != "" {
					return taskList{}, badRequest("overdue goes with no status")
				}
				read = func() (modules.Page[orchestrator.Task], error) { return c.TimedOutPage(ctx, f.Limit, f.After) }
			}
			page, err := read()
			return taskList{list(page.Items), page.Next}, err
		}),
		"GET /tasks/{id}": readsOf(c.Task),
		"POST /tasks/{id}/assignments": makes(http.StatusCreated, func(a orchestrator.Assignment) string { return "/assignments/" + url.PathEscape(a.ID) },
			func(ctx context.Context, in postedTo[newAssignment]) (orchestrator.Assignment, error) {
				a := in.Body
				return c.Assign(ctx, orchestrator.Assignment{
					ID: a.ID, TaskID: in.ID, AgentID: a.AgentID, AgentName: a.AgentName, AgentModelFamily: a.AgentModelFamily,
					Timeout: a.Timeout, Routing: a.Routing, Metadata: a.Metadata,
				}, a.Held.claim()...)
			}),
		"POST /tasks/{id}/executions": makes(http.StatusCreated, nil, func(ctx context.Context, in postedTo[newExecution]) (made, error) {
			e := in.Body.Execution
			if err := fromPath("task_id", &e.TaskID, in.ID); err != nil {
				return made{}, err
			}
			e.Retry = in.Body.Retry
			id, err := c.RecordExecution(ctx, e)
			return made{id}, err
		}),
		"GET /tasks/{id}/executions": gives(func(ctx context.Context, in listedOf) (executionList, error) {
			page, err := c.ExecutionsPage(ctx, in.ID, cmp.Or(in.Limit, pageSize), in.After)
			if err == nil && len(page.Items) == 0 {
				_, err = c.Task(ctx, in.ID) // a task of a foreign tenant has no list
			}
			return executionList{list(page.Items), page.Next}, err
		}),
		"POST /tasks/{id}/complete": does(func(ctx context.Context, in calledOn[completion]) error {
			return c.Complete(ctx, in.ID, in.Body.Held.claim()...)
		}),
		"POST /tasks/{id}/fail": gives(func(ctx context.Context, in calledOn[failure]) (requeued, error) {
			again, err := c.Fail(ctx, in.ID, in.Body.Error, in.Body.Retry, in.Body.Held.claim()...)
			return requeued{again}, err
		}),
		"POST /tasks/{id}/retry": gives(func(ctx context.Context, in calledOn[completion]) (retried, error) {
			attempts, err := c.Retry(ctx, in.ID, in.Body.Held.claim()...)
			return retried{attempts}, err
		}),

		"POST /queue/claim": gives(func(ctx context.Context, in posted[claim]) (taskList, error) {
			tasks, err := c.Claim(ctx, cmp.Or(in.Body.Count, 1), in.Body.Worker)
			return taskList{Tasks: list(tasks)}, err
		}),
		"POST /queue/cancel": gives(func(ctx context.Context, _ nothing) (affected, error) {
			n, err := c.CancelQueued(ctx)
			return affected{n}, err
		}),
		"POST /queue/purge": gives(func(ctx context.Context, in struct {
			Body finished `body:"optional"`
		}) (affected, error) {
			n, err := c.DeleteFinished(ctx, in.Body.For)
			return affected{n}, err
		}),
		"GET /queue/stats": reads(c.Stats),
		"GET /queue/snapshots": gives(func(ctx context.Context, in listed) (snapshotList, error) {
			page, err := c.SnapshotsPage(ctx, in.Limit, in.After)
			return snapshotList{list(page.Items), page.Next}, err
		}),
		"POST /queue/snapshots": does(func(ctx context.Context, _ nothing) error { return c.SnapshotStats(ctx) }),
		// The settings are the same for all tenants, and an operator's to set.
		"GET /queue/settings": gives(func(ctx context.Context, _ nothing) (settingList, error) {
			settings, err := c.Config(ctx)
			return settingList{settings}, err
		}),

		// The active assignments, or with overdue the assignments past the deadline.
		"GET /assignments": gives(func(ctx context.Context, f assignmentFilter) (assignmentList, error) {
			limit := cmp.Or(f.Limit, pageSize)
			switch {
			case !f.Overdue:
				page, err := c.ActiveAssignmentsPage(ctx, orchestrator.AssignmentFilter{AgentID: f.Agent, Status: f.Status, Limit: limit, After: f.After})
				return assignmentList{list(page.Items), page.Next}, err
			case f.Agent != "" || f.Status != "":
				return assignmentList{}, badRequest("overdue goes with no filter")
			}
			page, err := c.OverdueAssignmentsPage(ctx, f.Limit, f.After)
			return assignmentList{list(page.Items), page.Next}, err
		}),
		"GET /assignments/{id}": readsOf(c.Assignment),
		"PATCH /assignments/{id}": does(func(ctx context.Context, in postedTo[orchestrator.AssignmentPatch]) error {
			return c.UpdateAssignment(ctx, in.ID, in.Body)
		}),
	}
}
