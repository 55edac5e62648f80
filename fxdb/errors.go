package fxdb

import (
	"errors"
	"fmt"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/lifecycle"
)

// The sentinels. errors.Is finds all sentinels.
var (
	// ErrNotStarted is returned by every use before OnStart has succeeded.
	ErrNotStarted = lifecycle.ErrNotStarted
	// ErrDraining is returned by every use from the moment a stop begins.
	ErrDraining = lifecycle.ErrDraining
	// ErrTenantRequired is returned by clients declared with RequireTenant for
	// a context that has neither an identity nor tenant.System with a reason.
	ErrTenantRequired = errors.New("tenant required: put an identity into the context with tenant.NewContext, or use tenant.System for work that belongs to no tenant")
	// ErrTenantNotCarried is returned by the raw pool and [DB.Acquire] if the context has
	// an identity: a bare connection can't carry the identity. Use Begin or InTx. For a
	// library on the raw pool, for example a job queue, see [RawPool].
	ErrTenantNotCarried = scoped.ErrTenantNotCarried
	// ErrTenantMismatch is returned for a statement in a transaction if the context has
	// a different tenant or user than the transaction. A transaction without a tenant refuses
	// every tenant. Begin a transaction of its own for the statement.
	ErrTenantMismatch = errors.New("the context has a different tenant or user than the transaction: begin a transaction with the context of the statement")
	// ErrNeedsSession is returned if DB_POOLER is transaction and a call needs a session on
	// the server that lasts: [DB.Acquire], a second use of a *sql.Conn, statements prepared by
	// name, and texts of more than 1 MB. The same holds for LISTEN, DO, SET, advisory locks
	// of the session, cursors WITH HOLD, and temporary tables that outlive their transaction.
	// Use a transaction, or a connection to the server itself.
	ErrNeedsSession = scoped.ErrNeedsSession
	// ErrNestedAcquire is returned if DB_NESTED_ACQUIRE is strict and the goroutine of an
	// acquire still holds a connection: by a transaction, or by rows of DB.Query that the
	// goroutine has begun to read. If DB_NESTED_ACQUIRE is warn, errors.Is finds
	// ErrNestedAcquire in the [AcquireError] of a nested acquire.
	ErrNestedAcquire = lifecycle.ErrNestedAcquire
	// ErrAcquireTimeout is in an [AcquireError] after DB_CONNECTION_TIMEOUT_MS ran out.
	ErrAcquireTimeout = lifecycle.ErrAcquireTimeout
	// ErrServerAway is in an [AcquireError] if the server can't be reached, and
	// DB_SERVER_WAIT_FRACTION lets the caller wait no longer.
	ErrServerAway = lifecycle.ErrServerAway
	// ErrQueueFull is in an [AcquireError] if too many callers already wait.
	ErrQueueFull = lifecycle.ErrQueueFull
	// ErrQueueShed is in an [AcquireError] if the queue of the client does not drain, and
	// DB_QUEUE_TARGET_MS ended the wait.
	ErrQueueShed = lifecycle.ErrQueueShed
	// ErrSubscriptionClosed is returned by Next of a closed [Subscription].
	ErrSubscriptionClosed = errors.New("the subscription is closed: Close was called")
	// ErrMigrationChanged fails a start that migrates (DB_MIGRATE) if a file of an applied
	// migration has changed. The error names the file.
	ErrMigrationChanged = migrate.ErrChanged
)

// blankReasonError is an ErrTenantRequired with another way out.
type blankReasonError struct{}

func (blankReasonError) Error() string {
	return "tenant required: the reason given to tenant.System is blank: give the reason why the work belongs to no tenant"
}

func (blankReasonError) Is(target error) bool { return target == ErrTenantRequired }

// AcquireError names the reason for a failed acquire, and the holders of the connections.
type AcquireError = lifecycle.AcquireError

// ConfigError names an invalid setting, option or limit. A ConfigError never holds a password.
type ConfigError struct {
	Setting string // the variable, such as DB_POOL_MAX, or the option, such as MaxConns(0)
	Reason  string
	Client  string // the client of an option or a limit; empty: the pool
}

// Error returns "fxdb: DB_POOL_MAX: must be at least 1", with the client of an option.
func (e *ConfigError) Error() string {
	if e.Client != "" {
		return fmt.Sprintf("fxdb: client %q: %s: %s", e.Client, e.Setting, e.Reason)
	}
	return "fxdb: " + e.Setting + ": " + e.Reason
}
