package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/backend"
)

// The values of fields of Config that are not set.
const (
	DefaultAcquireTimeout = 10 * time.Second
	DefaultLeakThreshold  = time.Minute
	DefaultQueueInterval  = time.Second
)

// Config says what New builds. Only Pool is required.
type Config struct {
	// Pool comes from pgxpool.ParseConfig. New wraps the dial function and the hooks
	// BeforeConnect, AfterConnect, ShouldPing, PrepareConn, AfterRelease, BeforeClose, OnNotice
	// and OnPgError (hooks already set still run). New adds a tracer beside the caller's tracer.
	// The monitor, not pgxpool, keeps MaxConnLifetime.
	Pool *pgxpool.Config

	// Yields names RuntimeParams of Pool that count only if neither the role nor the
	// database has a setting for the same parameter (ALTER ROLE ... SET). Start reads the
	// settings once: a changed setting needs a restart.
	Yields []string

	// Name is what metrics and traces call the pool: see [Monitor.Name].
	Name string

	// AcquireTimeout is the longest wait for a connection, apart from the
	// query's own deadline. Default 10 s. Start waits as long as its context lasts.
	AcquireTimeout time.Duration

	// ServerWaitFraction is the fraction, from 0 to 1, of a caller's time for which the caller
	// waits while the server can't be reached. The caller's time is AcquireTimeout, or the time
	// until the deadline of the caller's context if shorter. Then the acquire fails with an
	// *AcquireError that wraps ErrServerAway. A caller whose own attempt to connect runs waits
	// for the end of the attempt. Default 1; negative: the acquire fails at once.
	ServerWaitFraction float64

	// LeakThreshold is how long a holder may keep a connection before the pool logs the
	// holder, once, and once more at the release. Default 1 min; negative: never.
	LeakThreshold time.Duration

	// SlowQuery is how long a statement may take, from the sending until the rows are closed,
	// before the pool logs client, tenant and text, never arguments. From 1 s on SlowQuery is
	// accurate to 50 ms. Default 0: never.
	SlowQuery time.Duration

	// Callers takes the call site of every acquire, for tests and for the hunt of
	// a leak. See Request.
	Callers bool

	// RawAcquire, if set, prepares the connection of every acquire from the pool itself, before
	// Pool.PrepareConn. The results are those of PrepareConn: true with an error fails the
	// acquire and keeps the connection, false closes the connection.
	RawAcquire func(ctx context.Context, conn *pgx.Conn) (keep bool, err error)

	// Advice maps the SQLSTATE of a connection's end to a sentence for the operator. The
	// pool appends the sentence to the server's message.
	Advice map[string]string

	// Settings names the settings of the program in errors and log lines, by the field that a
	// setting fills: MaxConns, Callers, Nested, Replicas, SiblingConns,
	// Pooler, TenantMaxFraction, Sessions. Default: the name of the field.
	Settings map[string]string

	// Sessions is for package fxdb, and judges what texts leave on a session: before the next
	// holder the pool cleans or closes a tainted connection. Without Sessions the pool hands a
	// connection on as the connection came back.
	Sessions backend.Sessions

	// Nested is the mode for an acquire by a goroutine whose transaction or rows hold a
	// connection already. Default NestedWarn.
	Nested NestedMode

	// Admission, if set, decides who may ask the pool for a connection. The Capacity of
	// Admission is the pool's MaxConns. Request.Permits is a client of Admission; acquires from
	// the pool itself count for the client "raw pool". A drain closes Admission.
	Admission *admission.Controller

	// Start is the mode of [Monitor.Start] if the server can't be reached. Default StartRequire.
	Start StartMode

	// MaxWaiting is how many callers may wait for a connection at a time; a further caller
	// fails at once with an *AcquireError that wraps ErrQueueFull. A client without a waiter
	// may have a single waiter above MaxWaiting. Callers for whom the pool opens a connection
	// do not count. Default 0: any number.
	MaxWaiting int

	// QueueTarget is the longest wait for a connection that callers of a client should have.
	// If the shortest wait of a client's callers in a whole QueueInterval is longer than
	// QueueTarget, the client's waiters fail after twice QueueTarget, with an *AcquireError
	// that wraps ErrQueueShed, until the shortest wait of an interval is within QueueTarget
	// again. Accurate to 50 ms. Default 0: no waiter fails.
	QueueTarget time.Duration

	// QueueInterval is the time over which QueueTarget judges the waits. Default 1 s.
	QueueInterval time.Duration

	// Replicas is how many processes have a pool of the same size. Start fails if all
	// replicas together could not open their connections. Default 1.
	Replicas int

	// SiblingConns is how many connections the sibling pools of each process may open. Start
	// adds SiblingConns to the connections of the pool in the same check.
	SiblingConns int

	// ListenConns is how many connections the process may open by Connect. Start adds
	// ListenConns to the connections of the pool in the same check.
	ListenConns int

	// SiblingPools are further pools of the process on the same server. Health and OnChange
	// of the pool cover the siblings: the pool is ready if all siblings are ready, and reports
	// the worst status of all. The figures of a sibling stay apart. The caller starts the
	// siblings after New; the start does not report a sibling as a second pool on the
	// database.
	SiblingPools []*Monitor

	// Pooler says that a transaction pooler stands between the pool and its server:
	// the server's limits on connections concern the pooler, not the pool.
	Pooler bool

	// OpenedBy names the place that asked for the pool. A second pool on the same database
	// in one process logs OpenedBy of both.
	OpenedBy string

	// BeforeReady runs in Start after the check of the server and before the pool opens its
	// minimum of connections: the place for migrations. An error fails the start. An error
	// with a method Final() bool that returns true is final: no start mode retries.
	BeforeReady func(ctx context.Context) error

	// Migrates says that BeforeReady changes the database. The pool then opens no connection
	// before BeforeReady has returned.
	Migrates bool

	// Layers are the import paths of the packages that acquire for their callers. A call site
	// is outside Layers, this package and pgx.
	Layers []string

	// LogFields, if set, returns fields of a context, such as a trace's id, for the lines about
	// one caller: a slow statement, a connection held too long, a nested acquire.
	LogFields func(ctx context.Context) []zap.Field

	// Logger takes one line per event of the pool's life. Default: none.
	Logger *zap.Logger
}

// withDefaults checks c, and fills in the defaults.
func (c Config) withDefaults() (Config, error) {
	if c.Pool == nil || c.Pool.ConnConfig == nil {
		return c, errors.New("lifecycle: Config.Pool is missing: make one with pgxpool.ParseConfig")
	}
	c.Start, c.Nested, c.Logger = cmp.Or(c.Start, StartRequire), cmp.Or(c.Nested, NestedWarn), cmp.Or(c.Logger, zap.NewNop())
	c.ServerWaitFraction, c.LeakThreshold = cmp.Or(c.ServerWaitFraction, 1), cmp.Or(c.LeakThreshold, DefaultLeakThreshold)
	c.Replicas = max(c.Replicas, 1)
	if c.AcquireTimeout <= 0 {
		c.AcquireTimeout = DefaultAcquireTimeout
	}
	if c.QueueInterval <= 0 {
		c.QueueInterval = DefaultQueueInterval
	}
	switch c.Start {
	case StartRequire, StartWait, StartDegrade:
	default:
		return c, fmt.Errorf("lifecycle: Config.Start is %q: must be require, wait or degrade", c.Start)
	}
	switch c.Nested {
	case NestedOff, NestedWarn, NestedStrict:
	default:
		return c, fmt.Errorf("lifecycle: Config.Nested is %q: must be off, warn or strict", c.Nested)
	}
	return c, nil
}
