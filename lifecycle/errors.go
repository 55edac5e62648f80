package lifecycle

import "errors"

// The sentinels of a pool's use. errors.Is finds all sentinels.
var (
	// ErrNotStarted is returned by every use of a pool whose Start has not succeeded. In an fx
	// application, a constructor has used the pool: move the use to an OnStart hook.
	ErrNotStarted = errors.New("pool is not started: use the pool from OnStart on, or call Start first")
	// ErrDraining is returned by every acquire from the moment a stop begins, also to waiters.
	// When the stop has ended, or the start has failed, the error's text names that end, and
	// errors.Is still finds ErrDraining.
	ErrDraining = errors.New("pool is draining: the application is stopping")
	// ErrAcquireTimeout is the Err of an [AcquireError] if no connection came free within the
	// acquire timeout.
	ErrAcquireTimeout = errors.New("acquire timeout")
	// ErrServerAway is the Err of an [AcquireError] if the server can't be reached, and
	// Config.ServerWaitFraction lets the caller wait no longer. AcquireError.Connect is the error
	// of the last attempt to connect.
	ErrServerAway = errors.New("server is away, and ServerWaitFraction lets the caller wait no longer")
	// ErrQueueFull is the Err of an [AcquireError] if too many callers wait already.
	ErrQueueFull = errors.New("acquire queue is full")
	// ErrQueueShed is the Err of an [AcquireError] if Config.QueueTarget ended the wait: the queue
	// of the client stands, and the caller has waited for longer than twice the target.
	ErrQueueShed = errors.New("acquire queue does not drain, and QueueTarget sheds the oldest waiters")
	// ErrNestedAcquire is returned in [NestedStrict] by an acquire whose own goroutine began a
	// transaction, or began to read rows, that still hold a connection. Nested acquires that are
	// as many as the pool's connections wait for each other. In [NestedWarn] an [*AcquireError]
	// wraps ErrNestedAcquire if the pool found a nested acquire.
	ErrNestedAcquire = errors.New("nested acquire: use the transaction of this goroutine, or first end the transaction, or close the goroutine's rows")
)
