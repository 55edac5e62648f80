// Package orchestrator is a durable task queue with assignments of its tasks to
// agents and a history of their executions. Any number of workers claim tasks at
// the same time, none gets another's; a task whose worker died is given out
// again once its time is over.
//
// Everything but the queue's settings belongs to the tenant in the context;
// row-level security on the server isolates tenants. Errors are of the classes
// of package modules.
package orchestrator
