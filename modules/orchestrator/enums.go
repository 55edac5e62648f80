package orchestrator

// TaskType is a task's kind of work.
type TaskType string

// The task types.
const (
	CodeEditing TaskType = "code-editing"
	CodeReview  TaskType = "code-review"
	Analysis    TaskType = "analysis"
	Research    TaskType = "research"
	Validation  TaskType = "validation"
	General     TaskType = "general"
)

// TaskStatus is how far a task has come.
type TaskStatus string

// The statuses of a task.
const (
	TaskQueued    TaskStatus = "queued"
	TaskDequeued  TaskStatus = "dequeued" // claimed by a worker
	TaskCompleted TaskStatus = "completed"
	TaskFailed    TaskStatus = "failed"
	TaskCancelled TaskStatus = "cancelled"
)

// AssignmentStatus is how far an assignment has come.
type AssignmentStatus string

// The statuses of an assignment. The first three are active.
const (
	Assigned            AssignmentStatus = "assigned"
	Acknowledged        AssignmentStatus = "acknowledged"
	Executing           AssignmentStatus = "executing"
	AssignmentCompleted AssignmentStatus = "completed"
	AssignmentFailed    AssignmentStatus = "failed"
	AssignmentCancelled AssignmentStatus = "cancelled"
)

// Strategy is how an agent was chosen for a task.
type Strategy string

// The strategies.
const (
	EpsilonGreedy   Strategy = "epsilon-greedy"
	UCB             Strategy = "ucb"
	CapabilityMatch Strategy = "capability-match"
	LoadBalance     Strategy = "load-balance"
)

// QueueMode is the order in which Claim gives tasks out: the setting priority_mode.
type QueueMode string

// The queue modes.
const (
	ModeFIFO     QueueMode = "fifo"     // in the order of the enqueues
	ModePriority QueueMode = "priority" // the highest priority first
	ModeDeadline QueueMode = "deadline" // whose CreatedAt plus Timeout is earliest first
)

var (
	taskTypes          = []TaskType{CodeEditing, CodeReview, Analysis, Research, Validation, General}
	activeStatuses     = []AssignmentStatus{Assigned, Acknowledged, Executing}
	assignmentStatuses = append(activeStatuses[:3:3], AssignmentCompleted, AssignmentFailed, AssignmentCancelled)
	strategies         = []Strategy{EpsilonGreedy, UCB, CapabilityMatch, LoadBalance}
	queueModes         = []QueueMode{ModeFIFO, ModePriority, ModeDeadline}
)
