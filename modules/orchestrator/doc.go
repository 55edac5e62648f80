// Package orchestrator is a durable task queue with assignments of the tasks to agents and a
// history of the executions. Any number of workers claim tasks at the same time, and no two
// workers get the same task. If a worker dies, the queue gives the task out again after the
// task's time.
//
// Everything but the queue's settings belongs to the tenant in the context; row-level security
// on the server isolates tenants. Errors are of the classes of package modules.
package orchestrator
