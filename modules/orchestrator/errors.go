package orchestrator

import (
	"errors"
	"fmt"

	"github.com/agentagency/onepool/modules"
)

// Errors of the client. Every error but ErrQueueFull is also of a class of package modules.
var (
	// ErrTaskNotFound is a modules.ErrNotFound.
	ErrTaskNotFound = fmt.Errorf("task %w", modules.ErrNotFound)
	// ErrAssignmentNotFound is a modules.ErrNotFound.
	ErrAssignmentNotFound = fmt.Errorf("assignment %w", modules.ErrNotFound)
	// ErrExecutionNotFound is a modules.ErrNotFound.
	ErrExecutionNotFound = fmt.Errorf("execution %w", modules.ErrNotFound)
	// ErrQueueFull is returned when the tenant has as many queued tasks as the
	// setting max_capacity allows. Enqueue again when workers have claimed some.
	ErrQueueFull = errors.New("the queue is full: wait until tasks are claimed, or raise max_capacity")
	// ErrStatus is a modules.ErrConflict: the status of the task, assignment or execution does
	// not allow the call.
	ErrStatus error = conflictError("its status does not allow this")
	// ErrNotHeld is a modules.ErrConflict: the caller's claim has ended, and a new worker may
	// have claimed the task. Throw the work away.
	ErrNotHeld error = conflictError("the claim has ended: the task may be another worker's")
	// ErrNoAttempts is a modules.ErrConflict: all of the task's attempts are used.
	ErrNoAttempts error = conflictError("no attempts are left")
	// ErrAssigned is a modules.ErrConflict: the task has an active assignment.
	ErrAssigned error = conflictError("the task is assigned already")
)

// conflictError is a modules.ErrConflict with a specific text.
type conflictError string

func (e conflictError) Error() string        { return string(e) }
func (e conflictError) Is(target error) bool { return target == modules.ErrConflict }

// statusError is an ErrStatus with the status in the text.
func statusError(what, status string) error {
	return fmt.Errorf("%s is %s: %w", what, status, ErrStatus)
}

// unclaimed is the ErrStatus of a call for a claimed task.
func unclaimed(task TaskStatus) error {
	return fmt.Errorf("%w: %s", statusError("task", string(task)), map[TaskStatus]string{
		TaskQueued: "claim the task first", TaskFailed: "retry and claim the task first",
		TaskCompleted: "enqueue a new task", TaskCancelled: "enqueue a new task",
	}[task])
}

// notHeld is an ErrNotHeld with the task's status in the text, unless the task is claimed.
func notHeld(task string) error {
	if task == string(TaskDequeued) {
		return ErrNotHeld
	}
	return fmt.Errorf("task is %s: %w", task, ErrNotHeld)
}

// wrap adds the class and the operation to an error.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", name, operation, modules.Classify(err))
}
