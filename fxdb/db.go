package fxdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/lifecycle"
)

// DB is a client's view of the shared pool. DB has the methods of *pgxpool.Pool that sqlc,
// scany and hand-written code use, with pgx's semantics. DB adds the client's name, the
// tenant's scope and the pool's life. DB is safe for concurrent use.
type DB struct {
	core   *core
	client *client
}

// core is shared by all handles on a pool.
type core struct {
	cfg         Config
	application string // application_name of the pool's connections
	fx          bool   // fx starts and stops the pool
	log         *zap.Logger
	root        *DB // the handle without a client
	monitor     *lifecycle.Monitor
	dedicated   map[string]*lifecycle.Monitor // by client
	engine      scoped.Engine                 // sends statements with their scopes
	traced      *redactingTracer              // the application's tracers; nil: none
	txTracers   []TxTracer                    // of those

	traceIDOf  func(context.Context) string // nil: statements carry no trace id
	badTraceID atomic.Bool                  // was logged

	rawAcquire func(context.Context, *pgx.Conn) (bool, error) // see RawPool; nil: nothing to do

	endsTransactions atomic.Bool // the server has transaction_timeout

	tenants  atomic.Bool // a client requires a tenant, or a statement has carried one
	listener *listener
	parts    parts

	mu        sync.Mutex
	clients   []*client
	statement time.Duration // statement_timeout of the pool's connections; 0: none, or the server's own
	serverSet []string      // the timeouts that the server sets: the pool sets none of them
	optionErr error         // a client option that can't be met; fails the start

	closed afterClose
}

// client is a user of the pool, by name.
type client struct {
	name          string
	ownName       string      // the last part of name
	requireTenant atomic.Bool // Named may be called at any time
	timeouts      ServerTimeouts
	monitor       *lifecycle.Monitor
	permits       *admission.Client // nil: sharing is off
	pending       pendingOptions
	optionErr     atomic.Pointer[error]           // an option that can't be met; fails every use
	settings      atomic.Pointer[scoped.Settings] // of the scopes
	acquired      atomic.Uint64
	waiting       atomic.Int64
	tainted       atomic.Uint64 // connections that came back after a text of the client that is not plain
	system        atomic.Uint64 // uses outside any tenant
	reasons       reasons       // of those
	warned        atomic.Uint32 // bits of leftovers
}

// rootClient is the name of the handle without a client.
const rootClient = "app"

// start opens the pools. A client option that can't be met fails the start.
func (db *DB) start(ctx context.Context) error {
	db.core.mu.Lock()
	err := db.core.optionErr
	db.core.mu.Unlock()
	all, started := db.core.monitors(), 0
	if err == nil {
		for _, m := range all {
			started++
			if err = m.Start(ctx); err != nil {
				break
			}
		}
		if err != nil && !db.core.cfg.NamesDatabase() {
			ways := "set DATABASE_URL, or DB_HOST, DB_NAME, DB_USER and DB_PASSWORD"
			if db.core.fx {
				ways += ", or add devdb.Module for a throwaway server"
			}
			err = fmt.Errorf("no setting names a database (%s): %w", ways, err)
		}
	}
	if db.core.cfg.NamesDatabase() {
		err = db.core.cfg.blame(err)
	}
	if err == nil && db.core.fx {
		db.core.warnUnknownClients()
	}
	if err != nil { // close the opened pools, and run the functions of AfterClose
		for _, m := range all[:started] {
			_, _ = lifecycle.Drain(ctx, m, 0)
		}
		for _, m := range all[started:] { // a drain would warn that nobody started the pool
			m.Pool().Close()
		}
		db.core.closed.run()
	}
	return err
}

// Close drains the pools of all clients, the pools of DB_DEDICATED included, as a stop of
// the application does: after DB_STOP_DELAY_MS, within DB_DRAIN_TIMEOUT_MS and three
// quarters of ctx's time. Close returns a [*lifecycle.DrainError] if the drain cut holders
// off. A second Close is a no-op.
func (db *DB) Close(ctx context.Context) error {
	if !db.core.fx && db.core.monitor.Started() {
		db.core.warnUnknownClients()
	}
	if !db.core.fx { // with fx the first hook of the stop has waited
		delayStop(ctx, db)
	}
	all := db.core.monitors()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() { _, errs[i] = lifecycle.Drain(ctx, m, db.core.cfg.DrainTimeout) })
	}
	wg.Wait()
	db.core.closed.run()
	return errors.Join(errs...)
}

// Named returns a handle on the same pool for the client name. The name shows in errors,
// logs and statistics. pg_stat_activity shows the name as "application/name" during a
// statement with a tenant or with the client's own limits. Options are the options of
// [Client].
//
// Names join as zap's do: Named("reports") of the client "orders" is the client
// "orders.reports". The inner client begins with the outer client's RequireTenant,
// Timeouts, MaxConns and Weight, and the inner client's options come on top. A Reserve is
// not inherited. The two clients count their connections apart.
//
// A second call with the same name returns another handle of the same client, with the
// options of both calls. A call with the handle's own name does the same.
//
// An option that can't be met fails the start or, after the start, every use of the
// client. The error names client and option and is a [*ConfigError]. A blank name fails
// likewise.
func (db *DB) Named(name string, opts ...ClientOption) *DB {
	c := db.core
	c.mu.Lock()
	defer c.mu.Unlock()
	outer := db.client
	if outer != nil && outer.name == rootClient {
		outer = nil
	}
	if outer != nil && (name == outer.name || name == outer.ownName) {
		name, outer = outer.name, nil
	}
	full := name
	if outer != nil {
		full = outer.name + "." + name
	}
	i := slices.IndexFunc(c.clients, func(known *client) bool { return known.name == full })
	if i < 0 {
		i = len(c.clients)
		c.clients = append(c.clients, c.newClient(full, name, outer))
	}
	cl := c.clients[i]
	err := checkName("Named", name)
	if err != nil {
		cl.optionErr.CompareAndSwap(nil, &err)
	}
	if err = cmp.Or(err, cl.configure(c.log, opts)); err != nil && c.optionErr == nil {
		c.optionErr = err
	}
	if cl.requireTenant.Load() {
		c.tenants.Store(true)
	}
	c.setSettings(cl)
	return &DB{core: c, client: cl}
}

// newClient builds a client, with the options inherited from outer. outer is nil if the
// caller of Named holds the root handle.
func (c *core) newClient(full, own string, outer *client) *client {
	cl := &client{name: full, ownName: own, monitor: c.monitor}
	if outer != nil {
		cl.monitor = outer.monitor
	}
	if dedicated := c.dedicated[full]; dedicated != nil {
		cl.monitor = dedicated
	}
	if a := cl.monitor.Admission(); a != nil {
		cl.permits = a.Client(full)
	}
	if outer == nil {
		return cl
	}
	cl.requireTenant.Store(outer.requireTenant.Load())
	cl.timeouts = outer.timeouts
	if cl.permits != nil && outer.permits != nil {
		limits := outer.permits.Limits()
		limits.Reserve = 0               // a copy would keep twice as many connections from all other clients
		_ = cl.permits.SetLimits(limits) // the same limits were accepted for outer
	}
	return cl
}

// Pool returns the pool itself, for libraries that want a *pgxpool.Pool. The monitor
// bounds, tracks and drains uses of the pool itself, too. A use carries no tenant: with an
// identity in the context the use fails with [ErrTenantNotCarried], unless [RawPool] says
// otherwise.
//
// RequireTenant does not reach the pool itself. Without an identity a statement runs as
// the login, and policies show the login no tenant's rows. The pool itself, like
// [DB.Acquire], does not take DB_TENANT_ROLE: a login that no policy holds sees all rows.
// rls.Verify reports a login that no policy holds.
//
// Do not call AcquireAllIdle: the acquired connections have no permit and no holder, and
// limits and Holders ignore the connections.
//
// NewConnsCount of the pool's Stat counts attempts: pgxpool also counts the attempts that the
// pool refuses before its start, and while the server is away. Opened of [DB.Stats] counts
// connections.
func (db *DB) Pool() *pgxpool.Pool { return db.client.monitor.Pool() }

// Monitor returns the monitor of the client's pool: health, holders, handlers. Health and
// Ready of the shared pool's monitor cover the pools of DB_DEDICATED too.
func (db *DB) Monitor() *lifecycle.Monitor { return db.client.monitor }
