package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
)

// ErrNotStarted is returned by every use of a pool whose Start has not succeeded. In an fx
// application, a constructor has used the pool: move the use to an OnStart hook.
var ErrNotStarted = errors.New("pool is not started: use it from OnStart on, or call Start first")

// ErrDraining is returned by every acquire from the moment a stop begins, also to waiters.
// When the stop has ended, or the start has failed, the error's text names that end, and
// errors.Is still finds ErrDraining.
var ErrDraining = errors.New("pool is draining: the application is stopping")

// DefaultAcquireTimeout is the longest wait for a connection if Config sets no limit.
const DefaultAcquireTimeout = 10 * time.Second

// Config says what New builds. Only Pool is required.
type Config struct {
	// Pool comes from pgxpool.ParseConfig. New wraps the dial function and the hooks
	// BeforeConnect, AfterConnect, ShouldPing, PrepareConn, BeforeClose, OnNotice and
	// OnPgError (hooks already set still run). New adds a tracer beside the caller's tracer.
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

	// RawAcquire, if set, judges every acquire from the pool itself. An error of RawAcquire
	// fails the acquire, and the pool sends nothing.
	RawAcquire func(ctx context.Context) error

	// Advice maps the SQLSTATE of a connection's end to a sentence for the operator. The
	// pool appends the sentence to the server's message.
	Advice map[string]string

	// TaintsSession, if set, judges every text before pgx sends the text. The pool closes a
	// connection after a text for which TaintsSession returned yes. single reports that the text
	// is one statement: a single text that the server can't parse costs no connection.
	TaintsSession func(conn *pgx.Conn, text Text) (yes, single bool)

	// Nested is the mode for an acquire by a goroutine whose transaction or rows hold a
	// connection already. Default NestedWarn.
	Nested NestedMode

	// Admission, if set, decides who may ask the pool for a connection. The Capacity of
	// Admission is the pool's MaxConns. A Request carries a Share of Admission; acquires from
	// the pool itself count for the client "raw pool". A drain closes Admission.
	Admission *admission.Controller

	// Start is the mode of [Monitor.Start] if the server can't be reached. Default StartRequire.
	Start StartMode

	// MaxWaiting is how many callers may wait for a connection at a time; a further caller
	// fails at once with an *AcquireError that wraps ErrQueueFull. A client without a waiter
	// may have a single waiter above MaxWaiting. Callers for whom the pool opens a connection
	// do not count. Default 0: any number.
	MaxWaiting int

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

	// LogFields, if set, returns fields of a context, such as a trace's id, for the lines about
	// one caller: a slow statement, a connection held too long, a nested acquire.
	LogFields func(ctx context.Context) []zap.Field

	// Logger takes one line per event of the pool's life. Default: none.
	Logger *zap.Logger
}

// The states of a Monitor, in their only order.
const (
	stateNew int32 = iota
	stateStarting
	stateReady
	stateDraining
	stateStopped
)

// Monitor owns a pool from New to Drain. A Monitor is safe for concurrent use.
type Monitor struct {
	cfg       Config
	log       *zap.Logger
	pool      *pgxpool.Pool
	state     atomic.Int32
	createdAt time.Time

	leaving atomic.Bool     // see Leave
	closing context.Context // done from the moment a drain begins
	close   context.CancelFunc

	beside bool // the SiblingPools of another monitor's Config hold the monitor
	writes bool // expected: a standby won't do
	// A connection whose session is read-only by default was seen.
	readOnlySeen atomic.Bool
	foreign      bool                  // the caller's hooks or tracer see acquires
	tracing      pgxpool.AcquireTracer // the caller's tracer, if the tracer traces acquires

	sockets  *sockets
	hosts    hosts
	waiting  atomic.Int64
	queue    queue
	asking   atomic.Int64 // inside the pool's Acquire, if the queue has a limit
	held     atomic.Int64
	opened   atomic.Int64
	spoiled  atomic.Uint64 // connections that came back spoiled
	connects chan struct{} // a place for each running connect

	own atomic.Pointer[[]string] // of Config.Yields; nil: not asked yet

	generation atomic.Int64  // how often the pool was reset
	losses     atomic.Int64  // connections that server or network has ended, and servers met anew
	lossTold   chan struct{} // buffered 1: lookout looks at the server
	lossOf     atomic.Int64  // the generation of the connection lost last
	server     atomic.Pointer[meeting]
	readOnly   atomic.Int64  // unix ns of the last reset because of a read-only server
	clock      atomic.Int64  // unix ns, kept by watch
	acquires   atomic.Int64  // since ever
	callers    atomic.Int64  // call sites that acquires may yet take in the current tick
	released   chan struct{} // buffered 1: a connection was given back

	mu    sync.Mutex
	slots map[*pgx.Conn]*slot

	health   health
	pressure pressure

	rawShare *admission.Client // nil: no admission

	lifetime lifetime
	retired  atomic.Int64

	refilling atomic.Bool
	refillAt  atomic.Int64 // unix ns of the next try after a failure

	transactions    atomic.Uint64 // acquires for a transaction, for nestedSample
	readings        atomic.Uint64 // goroutines that began to read rows, for nestedSample
	remembered      atomic.Int64  // transactions and rows out whose goroutine is known
	rememberedMu    sync.RWMutex  // taken before a slot's mutex
	rememberedSlots []*slot       // the slots of remembered
	nestedAsk       atomic.Int64  // nested acquires under way
	nestedFailed    atomic.Int64  // unix ns of the last failed nested acquire
	nestedTold      sync.Map      // clients whose nested acquire the log has

	observersMu     sync.Mutex
	observers       atomic.Pointer[[]*observing] // nil: nobody
	timesStatements atomic.Bool                  // for a StatementObserver
	incidents       incidents

	startMu    sync.Mutex
	startErr   atomic.Pointer[error] // of the last attempt
	startWaits startWaits
	failed     atomic.Pointer[error] // why the start failed
	background sync.WaitGroup        // goroutines that end with closing
	drain      drainOnce
}

// New builds the pool without opening a connection. It fails when cfg.Pool is
// missing or was not made by pgxpool.ParseConfig.
//
// The returned monitor owns a goroutine of pgxpool. Drain ends the goroutine.
func New(cfg Config) (_ *Monitor, err error) {
	if cfg.Pool == nil || cfg.Pool.ConnConfig == nil {
		return nil, errors.New("lifecycle: Config.Pool is missing: make one with pgxpool.ParseConfig")
	}
	if cfg.AcquireTimeout <= 0 {
		cfg.AcquireTimeout = DefaultAcquireTimeout
	}
	cfg.Replicas = max(cfg.Replicas, 1)
	if cfg.LeakThreshold == 0 {
		cfg.LeakThreshold = DefaultLeakThreshold
	}
	switch cfg.Start {
	case "":
		cfg.Start = StartRequire
	case StartRequire, StartWait, StartDegrade:
	default:
		return nil, fmt.Errorf("lifecycle: Config.Start is %q: must be require, wait or degrade", cfg.Start)
	}
	switch cfg.Nested {
	case "":
		cfg.Nested = NestedWarn
	case NestedOff, NestedWarn, NestedStrict:
	default:
		return nil, fmt.Errorf("lifecycle: Config.Nested is %q: must be off, warn or strict", cfg.Nested)
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	m := &Monitor{
		cfg:       cfg,
		log:       cfg.Logger,
		createdAt: time.Now(),
		sockets:   newSockets(cfg.Pool.ConnConfig.DialFunc),
		slots:     make(map[*pgx.Conn]*slot),
		released:  make(chan struct{}, 1),
		lossTold:  make(chan struct{}, 1),
		connects:  make(chan struct{}, connectsAtOnce),
	}
	m.closing, m.close = context.WithCancel(context.Background())
	m.health.timeout.Store(int64(probeTimeout))
	m.startWaits = defaultStartWaits
	m.drain.done = make(chan struct{})
	m.clock.Store(m.createdAt.UnixNano())
	if cfg.Admission != nil {
		m.rawShare = cfg.Admission.Client(rawPool)
	}

	m.writes = expectsWrites(cfg.Pool.ConnConfig)
	m.foreign = cfg.Pool.ConnConfig.Tracer != nil || givenPrepareConn(cfg.Pool) != nil
	m.tracing, _ = cfg.Pool.ConnConfig.Tracer.(pgxpool.AcquireTracer)

	pc := cfg.Pool.Copy()
	m.lifetime = lifetime{pc.MaxConnLifetime, pc.MaxConnLifetimeJitter}
	chainHooks(pc, m)
	m.sockets.advice = cfg.Advice
	pc.ConnConfig.Tracer = m.withTracer(pc.ConnConfig.Tracer)
	m.cfg.Pool = pc

	// pgxpool panics on a config that ParseConfig did not make; a library must not.
	defer func() {
		if r := recover(); r != nil {
			m.close()
			err = fmt.Errorf("lifecycle: Config.Pool: %v", r)
		}
	}()
	own := pc.Copy()
	own.MaxConnLifetime, own.MaxConnLifetimeJitter = 0, 0
	m.pool, err = pgxpool.NewWithConfig(context.Background(), own)
	if err != nil {
		m.close()
		return nil, fmt.Errorf("lifecycle: build the pool: %w", err)
	}
	giveBack(own, cfg.Pool)
	for _, o := range cfg.SiblingPools {
		o.beside = true
		o.OnChange(func(Health) { m.Health(context.Background()) })
	}
	return m, nil
}

// giveBack restores the caller's hooks and lifetimes in pc, which [pgxpool.Pool.Config]
// returns: a second pool built from pc has no hook of the monitor. pgxpool has copied the
// hooks. pgxpool reads the lifetimes when a connection opens: never before Start.
func giveBack(pc, given *pgxpool.Config) {
	pc.BeforeConnect, pc.AfterConnect, pc.PrepareConn = given.BeforeConnect, given.AfterConnect, given.PrepareConn
	pc.ShouldPing, pc.BeforeClose = given.ShouldPing, given.BeforeClose
	pc.MaxConnLifetime, pc.MaxConnLifetimeJitter = given.MaxConnLifetime, given.MaxConnLifetimeJitter
}

// chainHooks puts the gate and the bookkeeping around the hooks that are set.
func chainHooks(pc *pgxpool.Config, m *Monitor) {
	beforeConnect, afterConnect := pc.BeforeConnect, pc.AfterConnect
	prepareConn, beforeClose := givenPrepareConn(pc), pc.BeforeClose

	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		// pgxpool keeps its minimum from New on. Until Start is over only Start opens
		// connections: else Start and pgxpool would open twice the minimum.
		if err := m.mayConnect(ctx); err != nil {
			return err
		}
		// cc belongs to a single connection: the pool's configuration keeps the caller's dialer.
		cc.DialFunc = m.sockets.dial
		hearEnds(cc, m.cfg.Advice)
		m.yield(cc)
		if beforeConnect != nil {
			if err := beforeConnect(ctx, cc); err != nil {
				return err
			}
		}
		m.PreferAnswering(ctx, cc)
		return nil
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if afterConnect != nil {
			if err := afterConnect(ctx, conn); err != nil {
				return err
			}
		}
		m.addSlot(conn)
		m.noticeStandby(conn)
		return nil
	}
	pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		// true with an error gives the sound connection back and fails the caller.
		if err := m.mayAcquire(ctx); err != nil {
			return true, err
		}
		if s := slotOf(conn); m.expired(ctx, s) || s != nil && s.spoilt != unspoilt || m.stuck(conn) {
			return false, nil // pgxpool closes the connection and goes on with the next
		}
		if !slotOf(conn).undone(ctx, conn) {
			return false, nil
		}
		if a := acquisitionOf(ctx); m.cfg.RawAcquire != nil && (a == nil || a.raw) {
			if err := m.cfg.RawAcquire(ctx); err != nil {
				return true, err
			}
		}
		if prepareConn != nil {
			return acquisitionOf(ctx).prepare(ctx, prepareConn, conn)
		}
		return true, nil
	}
	shouldPing := pc.ShouldPing
	pc.ShouldPing = func(ctx context.Context, params pgxpool.ShouldPingParams) bool {
		if m.doubted(params.Conn) {
			return true
		}
		if shouldPing != nil {
			return shouldPing(ctx, params)
		}
		return params.IdleDuration > time.Second // pgxpool's own
	}
	pc.BeforeClose = func(conn *pgx.Conn) {
		m.removeSlot(conn)
		if beforeClose != nil {
			beforeClose(conn)
		}
	}
}

// givenPrepareConn returns the caller's PrepareConn, or the older BeforeAcquire in its
// place: pgxpool ignores BeforeAcquire beside the PrepareConn of the monitor.
func givenPrepareConn(pc *pgxpool.Config) prepareConn {
	beforeAcquire := pc.BeforeAcquire //nolint:staticcheck // callers may still set the older hook
	if pc.PrepareConn != nil || beforeAcquire == nil {
		return pc.PrepareConn
	}
	return func(ctx context.Context, conn *pgx.Conn) (bool, error) { return beforeAcquire(ctx, conn), nil }
}

func (m *Monitor) mayConnect(ctx context.Context) error {
	switch m.state.Load() {
	case stateNew:
		return ErrNotStarted
	case stateStarting:
		if ctx.Value(warming{}) == nil {
			return ErrNotStarted
		}
		return nil
	case stateReady:
		return nil
	}
	return m.over()
}

func (m *Monitor) mayAcquire(ctx context.Context) error {
	switch m.state.Load() {
	case stateNew:
		return ErrNotStarted
	case stateStarting:
		if ctx.Value(warming{}) != nil {
			return nil
		}
		if err := m.startErr.Load(); err != nil {
			if isFinal(*err) {
				return fmt.Errorf("%w (the start in the background failed for good: %w)", ErrNotStarted, *err)
			}
			return fmt.Errorf("%w (it is connecting in the background: %w)", ErrNotStarted, *err)
		}
		return ErrNotStarted
	case stateReady:
		return nil
	}
	return m.over()
}

// Pool returns the pool. Every acquire from the pool passes the gate, is bounded by the
// acquire timeout, counts for the client "raw pool", and ends in a drain.
func (m *Monitor) Pool() *pgxpool.Pool { return m.pool }

// Admission returns Config.Admission.
func (m *Monitor) Admission() *admission.Controller { return m.cfg.Admission }

// CreatedAt returns when the pool was built.
func (m *Monitor) CreatedAt() time.Time { return m.createdAt }

// Started reports whether the pool is started and no stop has begun.
func (m *Monitor) Started() bool { return m.state.Load() == stateReady }

// Draining reports whether a stop has begun. Draining stays true after the stop's end.
func (m *Monitor) Draining() bool { return m.state.Load() >= stateDraining }

// Opened returns how many connections the pool has opened since New.
// pgxpool's own count includes attempts that never got to the network.
func (m *Monitor) Opened() int64 { return m.opened.Load() }

// Spoiled returns how many connections came back spoiled, and were closed, since New. See
// Config.TaintsSession.
func (m *Monitor) Spoiled() uint64 { return m.spoiled.Load() }

// Waiting returns how many callers wait for a connection now.
func (m *Monitor) Waiting() int { return int(m.waiting.Load()) }
