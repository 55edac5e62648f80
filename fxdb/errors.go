package fxdb

import (
	"errors"

	"github.com/agentagency/onepool/lifecycle"
)

// The sentinels of a pool's use. All are found with errors.Is.
var (
	// ErrNotStarted is returned by every use before OnStart has succeeded.
	ErrNotStarted = lifecycle.ErrNotStarted
	// ErrDraining is returned by every use from the moment a stop begins.
	ErrDraining = lifecycle.ErrDraining
	// ErrTenantRequired is returned by clients declared with RequireTenant for
	// a context that has neither an identity nor tenant.System with a reason.
	ErrTenantRequired = errors.New("tenant required: put an identity into the context with tenant.NewContext, or use tenant.System for work that belongs to no tenant")
	// ErrTenantNotCarried is returned where an identity is in the context of a use that
	// can't carry it: the raw pool and DB.Acquire. Use Begin or InTx. For a library on the
	// raw pool, such as a job queue, see [RawPool].
	ErrTenantNotCarried = errors.New("the context has a tenant, but a bare connection does not carry it: use Exec, Query, Begin or InTx of fxdb.DB; " +
		"a library such as a job queue takes a transaction of InTx (InsertTx), or the context of tenant.System for its own tables, or see fxdb.RawPool")
	// ErrNestedAcquire is returned where DB_NESTED_ACQUIRE is strict by an acquire
	// whose own goroutine began a transaction, or began to read the rows of DB.Query,
	// that still hold a connection. Where it is warn, an AcquireError is it too, when
	// that was found.
	ErrNestedAcquire = lifecycle.ErrNestedAcquire
	// ErrAcquireTimeout is what an AcquireError is when DB_CONNECTION_TIMEOUT_MS ran out.
	ErrAcquireTimeout = lifecycle.ErrAcquireTimeout
	// ErrQueueFull is what an AcquireError is when too many callers wait already.
	ErrQueueFull = lifecycle.ErrQueueFull
)

// blankReasonError is an ErrTenantRequired with another way out.
type blankReasonError struct{}

func (blankReasonError) Error() string {
	return "tenant required: the reason given to tenant.System is blank: say in it why the work belongs to no tenant"
}

func (blankReasonError) Is(target error) bool { return target == ErrTenantRequired }

// AcquireError says why no connection could be had, and who has them.
type AcquireError = lifecycle.AcquireError

// ConfigError names the setting that can't be used. It never holds a password.
type ConfigError struct {
	Setting string // the variable, such as DB_POOL_MAX
	Reason  string
}

// Error returns "fxdb: DB_POOL_MAX: must be at least 1".
func (e *ConfigError) Error() string { return "fxdb: " + e.Setting + ": " + e.Reason }
