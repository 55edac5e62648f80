package orchestrator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Limits for callers of Assign. The package itself uses only MaxAssignmentTimeout.
const (
	AcknowledgeWithin    = 5 * time.Second  // a later acknowledgement: the agent is taken for gone
	ProgressEvery        = 30 * time.Second // longest time between an agent's reports of progress
	MaxReassignments     = 3                // of a task
	MaxAssignmentTimeout = 5 * time.Minute  // of an assignment without a timeout
)

// Assignment is a claimed task in the hands of an agent.
type Assignment struct {
	ID               string         `json:"id"` // the caller's, 1 to 255 bytes; made when empty
	TaskID           string         `json:"task_id"`
	AgentID          string         `json:"agent_id"`
	AgentName        string         `json:"agent_name"`
	AgentModelFamily string         `json:"agent_model_family"` // 1 to 50 bytes
	Timeout          time.Duration  `json:"timeout_ns"`         // whole milliseconds; default the task's, 5 minutes at most
	Routing          Routing        `json:"routing"`
	Metadata         map[string]any `json:"metadata"`

	// The database sets the fields below; Assign ignores the fields.
	AssignedAt         time.Time        `json:"assigned_at"`
	Deadline           time.Time        `json:"deadline"` // AssignedAt plus Timeout
	Status             AssignmentStatus `json:"status"`
	AcknowledgedAt     *time.Time       `json:"acknowledged_at"`
	StartedAt          *time.Time       `json:"started_at"`
	CompletedAt        *time.Time       `json:"completed_at"` // when the assignment ended, in any way
	Progress           float64          `json:"progress"`     // 0 to 1
	LastProgressUpdate time.Time        `json:"last_progress_update"`
	Error              *string          `json:"error"`
	ErrorCode          *string          `json:"error_code"`
}

// Routing is why the agent was chosen.
type Routing struct {
	Confidence *float64 `json:"confidence"` // 0 to 1; nil: not known
	Strategy   Strategy `json:"strategy"`
	Reason     string   `json:"reason"`
}

func (a Assignment) validate() error {
	err := check.First(
		check.ID("task_id", a.TaskID),
		check.ID("agent_id", a.AgentID),
		check.Text("agent_name", a.AgentName, 255),
		check.Text("agent_model_family", a.AgentModelFamily, 50),
		check.Timeout("timeout", a.Timeout),
		check.Enum("routing.strategy", a.Routing.Strategy, strategies),
		check.Storable("routing.reason", a.Routing.Reason),
	)
	if a.ID != "" {
		err = check.First(err, check.ID("id", a.ID))
	}
	if a.Routing.Confidence != nil {
		err = check.First(err, check.Share("routing.confidence", *a.Routing.Confidence))
	}
	return err
}

// assignmentRow is a row of orchestrator.assignments, with assignmentColumns.
type assignmentRow struct {
	ID, TaskID, AgentID, AgentName, AgentModelFamily string
	Timeout                                          time.Duration
	RoutingConfidence                                *float64
	RoutingStrategy, RoutingReason                   string
	AssignmentMetadata                               map[string]any
	AssignedAt, Deadline                             time.Time
	Status                                           string
	AcknowledgedAt, StartedAt, CompletedAt           *time.Time
	Progress                                         float64
	LastProgressUpdate                               time.Time
	ErrorMessage, ErrorCode                          *string
}

const assignmentColumns = `a.id, a.task_id, a.agent_id, a.agent_name, a.agent_model_family,
a.assignment_timeout_ms * interval '1 millisecond' as timeout, a.routing_confidence, a.routing_strategy,
coalesce(a.routing_reason, '') as routing_reason, a.assignment_metadata, a.assigned_at, a.deadline, a.status,
a.acknowledged_at, a.started_at, a.completed_at, a.progress, a.last_progress_update, a.error_message, a.error_code`

func (r assignmentRow) assignment() Assignment {
	return Assignment{
		ID: r.ID, TaskID: r.TaskID, AgentID: r.AgentID, AgentName: r.AgentName, AgentModelFamily: r.AgentModelFamily,
		Timeout: r.Timeout, Routing: Routing{r.RoutingConfidence, Strategy(r.RoutingStrategy), r.RoutingReason},
		Metadata: r.AssignmentMetadata, AssignedAt: r.AssignedAt, Deadline: r.Deadline, Status: AssignmentStatus(r.Status),
		AcknowledgedAt: r.AcknowledgedAt, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt, Progress: r.Progress,
		LastProgressUpdate: r.LastProgressUpdate, Error: r.ErrorMessage, ErrorCode: r.ErrorCode,
	}
}

// active is the condition of the index on active assignments.
const active = "a.status in ('assigned', 'acknowledged', 'executing')"

// Assignment returns the assignment, or ErrAssignmentNotFound.
func (c *Client) Assignment(ctx context.Context, id string) (Assignment, error) {
	if err := check.ID("id", id); err != nil {
		return Assignment{}, wrap("assignment", err)
	}
	r, err := one[assignmentRow](ctx, c, "select "+assignmentColumns+" from orchestrator.assignments a where a.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return Assignment{}, wrap("assignment", store.OrMissing(err, ErrAssignmentNotFound))
	}
	return r.assignment(), nil
}

// AssignmentFilter selects active assignments. The zero value selects all active assignments.
type AssignmentFilter struct {
	AgentID string           // empty: of any agent
	Status  AssignmentStatus // empty: in any active status
	Limit   int              // 1000 at most, and when 0
	After   string           // last id of the previous page; empty: the first page
}

// ActiveAssignments returns the active assignments that match f, the earliest deadline first. A
// missing f.After is ErrAssignmentNotFound. A page ends after modules.PageBytes too, with fewer
// assignments than f.Limit: ActiveAssignmentsPage reports whether a page follows.
func (c *Client) ActiveAssignments(ctx context.Context, f AssignmentFilter) ([]Assignment, error) {
	p, err := c.ActiveAssignmentsPage(ctx, f)
	return p.Items, err
}

// ActiveAssignmentsPage is ActiveAssignments for callers of page after page.
func (c *Client) ActiveAssignmentsPage(ctx context.Context, f AssignmentFilter) (modules.Page[Assignment], error) {
	err := check.First(checkLimit(&f.Limit), keyset.CheckID(f.After))
	if f.AgentID != "" {
		err = check.First(err, check.ID("agent_id", f.AgentID))
	}
	where := active
	if f.Status != "" {
		err = check.First(err, check.Enum("status", f.Status, activeStatuses))
		where = "a.status = '" + string(f.Status) + "'" // a constant, as in the index's condition
	}
	if err != nil {
		return modules.Page[Assignment]{}, wrap("active assignments", err)
	}
	if f.AgentID != "" {
		where += " and a.agent_id = @agent::text"
	}
	list := assignments(where)
	list.ID, list.Unknown = func(r assignmentRow) string { return r.ID }, ErrAssignmentNotFound
	list.Row = "orchestrator.assignments a where a.id = @after::text"
	p, err := page(ctx, c, list, f.Limit, f.After, pgx.NamedArgs{"agent": f.AgentID})
	return p, wrap("active assignments", err)
}

// OverdueAssignments returns the active assignments past the deadline, the longest overdue
// first, 1000 and modules.PageBytes at most. An overdue assignment ends when a Claim gives the
// task out again.
func (c *Client) OverdueAssignments(ctx context.Context) ([]Assignment, error) {
	p, err := c.OverdueAssignmentsPage(ctx, listLimit, "")
	return p.Items, err
}

// assignments is a list of assignments by the deadline.
func assignments(where string) keyset.List[assignmentRow, Assignment] {
	return keyset.List[assignmentRow, Assignment]{
		Select:  "select " + assignmentColumns + " from orchestrator.assignments a where " + where,
		Key:     []keyset.Column{{SQL: "a.deadline", Type: keyset.Time}, {SQL: "a.id", Type: keyset.Text}},
		KeyOf:   func(r assignmentRow) []any { return []any{r.Deadline, r.ID} },
		Convert: keyset.Always(assignmentRow.assignment),
	}
}
