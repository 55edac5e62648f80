package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
)

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

	beside atomic.Bool // the SiblingPools of another monitor's Config hold the monitor
	writes bool        // expected: a standby won't do
	// A connection whose session is read-only by default was seen.
	readOnlySeen  atomic.Bool
	foreign       bool                  // the caller's hooks or tracer see acquires
	serverVersion atomic.Int64          // server_version_num; 0: not known yet
	tracing       pgxpool.AcquireTracer // the caller's tracer, if the tracer traces acquires

	sockets      *sockets
	hosts        hosts
	breaker      breaker
	canceller    canceller
	waiting      atomic.Int64
	queue        queue
	shed         *shedder     // nil: no target
	countsAsking bool         // the queue has a limit or a target
	asking       atomic.Int64 // inside the pool's Acquire, if countsAsking
	held         atomic.Int64
	opened       atomic.Int64
	afterConnect func(context.Context, *pgx.Conn) error // the caller's hook; clean runs the hook again
	releaseHook  bool                                   // the caller has an AfterRelease

	tainted  atomic.Uint64 // connections that came back tainted
	cleaned  atomic.Uint64 // tainted connections that the pool made clean
	unclean  atomic.Uint64 // tainted connections that the pool closed
	leftSeen sync.Map      // what sessions kept, by client, that the log has
	connects chan struct{} // a place for each running connect

	own    atomic.Pointer[[]string] // of Config.Yields; nil: not asked yet
	layers layers                   // no call site is inside

	generation atomic.Int64  // how often the pool was reset
	losses     atomic.Int64  // connections that server or network has ended, and servers met anew
	lossSeen   chan struct{} // buffered 1: watchHealth probes at the server
	lossOf     atomic.Int64  // the generation of the connection lost last
	server     atomic.Pointer[meeting]
	readOnly   atomic.Int64  // unix ns of the last reset because of a read-only server
	clock      atomic.Int64  // unix ns, kept by watch
	acquires   atomic.Int64  // since ever
	callers    atomic.Int64  // call sites that acquires may yet take in the current tick
	released   chan struct{} // buffered 1: a connection was given back

	mu    sync.Mutex
	slots map[*pgx.Conn]*slot
	met   map[string]string // by address: when the server there started, see meet

	health   health
	pressure pressure

	rawPermits *admission.Client // nil: no admission

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
	nestedSeen      sync.Map      // clients whose nested acquire the log has

	observersMu     sync.Mutex
	observers       atomic.Pointer[[]*observing] // nil: nobody
	timesStatements atomic.Bool                  // for a statementObserver
	incidents       incidents

	startMu    sync.Mutex
	startErr   atomic.Pointer[error] // of the last attempt
	startWaits startWaits
	failed     atomic.Pointer[error] // why the start failed
	background sync.WaitGroup        // goroutines that end with closing
	drain      drainOnce
}

// New builds the pool without opening a connection. New fails if cfg.Pool is
// missing or was not made by pgxpool.ParseConfig.
//
// The returned monitor owns a goroutine of pgxpool. Drain ends the goroutine.
func New(cfg Config) (_ *Monitor, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	m := &Monitor{
		cfg:       cfg,
		log:       cfg.Logger,
		layers:    layersOf(cfg.Layers),
		createdAt: time.Now(),
		sockets:   newSockets(cfg.Pool.ConnConfig.DialFunc),
		slots:     make(map[*pgx.Conn]*slot),
		met:       make(map[string]string),
		released:  make(chan struct{}, 1),
		lossSeen:  make(chan struct{}, 1),
		connects:  make(chan struct{}, connectsAtOnce),
	}
	m.shed = newShedder(cfg.QueueTarget, cfg.QueueInterval)
	m.countsAsking = cfg.MaxWaiting > 0 || m.shed != nil
	m.canceller.late = make(chan *lateStatement)
	m.closing, m.close = context.WithCancel(context.Background())
	m.health.timeout.Store(int64(probeTimeout))
	m.startWaits = defaultStartWaits
	m.drain.done = make(chan struct{})
	m.clock.Store(m.createdAt.UnixNano())
	if cfg.Admission != nil {
		m.rawPermits = cfg.Admission.Client(rawPool)
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
		o.beside.Store(true)
		o.OnChange(func(Health) { m.Health(context.Background()) })
	}
	return m, nil
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

// Tainted returns how many connections came back tainted since New, and how many of those
// the pool made clean, and closed. A connection that still waits for the next holder is in
// neither figure. See Config.Sessions.
func (m *Monitor) Tainted() (all, cleaned, closed uint64) {
	return m.tainted.Load(), m.cleaned.Load(), m.unclean.Load()
}

// Waiting returns how many callers wait for a connection now.
func (m *Monitor) Waiting() int { return int(m.waiting.Load()) }
