package fxdb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/lifecycle"
)

// DB is the shared pool as one client sees it. It has the methods of
// *pgxpool.Pool that sqlc, scany and hand-written code use, with pgx's
// semantics; what it adds is the client's name, the tenant's scope and the
// pool's life. It is safe for concurrent use.
type DB struct {
	core   *core
	client *client
}

// core is what all handles on one pool share.
type core struct {
	cfg         Config
	application string // application_name of the pool's connections
	log         *zap.Logger
	monitor     *lifecycle.Monitor
	tracer      pgx.QueryTracer   // all of the pool's in one
	mode        pgx.QueryExecMode // of statements that do not say
	statements  int               // how many a connection keeps prepared

	mu      sync.Mutex
	clients []*client
	misuse  error // a client option that can't be met; fails the start
}

// client is one user of the pool, by name.
type client struct {
	name          string
	requireTenant atomic.Bool // Named may be called at any time
	limits        ServerTimeouts
	scope         atomic.Pointer[scopeText]
	acquired      atomic.Uint64
	waiting       atomic.Int64
	system        atomic.Uint64 // uses outside any tenant
}

// newMonitor checks the configuration and builds the pool. It opens no
// connection.
func newMonitor(cfg Config, o options, origin string) (*lifecycle.Monitor, Config, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, cfg, err
	}
	pc, err := cfg.poolConfig()
	if err != nil {
		return nil, cfg, err
	}
	password, log := o.password, o.log
	if cfg.PasswordFile != "" {
		if password != nil {
			return nil, cfg, &ConfigError{"DB_PASSWORD_FILE", "is set, and there is a PasswordSource: use one of them"}
		}
		if !given(cfg.URL, "password") {
			password = passwordFile(cfg.PasswordFile)
			if _, err := password(context.Background()); err != nil {
				return nil, cfg, err
			}
		}
	}
	if password != nil {
		pc.BeforeConnect = password.beforeConnect()
	}
	pc.ConnConfig.Tracer = multitracer.New(append(o.tracers, prepareTracer{})...)
	sources, err := migrate.Check(o.sources)
	if err != nil {
		return nil, cfg, fmt.Errorf("fxdb: %w", err)
	}
	migrateConfig := pc.ConnConfig
	if cfg.MigrateURL != "" {
		mc, err := parseConnString("DB_MIGRATE_URL", cfg.MigrateURL)
		if err != nil {
			return nil, cfg, err
		}
		migrateConfig = mc.ConnConfig
		if !given(cfg.MigrateURL, "application_name") {
			migrateConfig.RuntimeParams["application_name"] = cfg.ApplicationName
		}
	}
	m, err := lifecycle.New(lifecycle.Config{
		Pool:           pc,
		AcquireTimeout: cfg.ConnectionTimeout,
		Nested:         lifecycle.NestedMode(cfg.NestedAcquire),
		Replicas:       cfg.ReplicasOfApp,
		MaxWaiting:     cfg.QueueMax,
		LeakThreshold:  cfg.LeakThreshold,
		Start:          lifecycle.StartMode(cfg.Start),
		RawAcquire:     refuseUnscoped,
		Callers:        o.callers,
		Logger:         log,
		Origin:         origin,
		BeforeReady: func(ctx context.Context) error {
			if !cfg.Migrate {
				return nil
			}
			cc := migrateConfig.Copy()
			if cfg.MigrateURL == "" && pc.BeforeConnect != nil {
				if err := pc.BeforeConnect(ctx, cc); err != nil {
					return err
				}
			}
			if err := migrate.Up(ctx, cc, log, sources); err != nil {
				return fmt.Errorf("fxdb: %w", err)
			}
			return nil
		},
	})
	return m, cfg, err
}

func newDB(cfg Config, log *zap.Logger, m *lifecycle.Monitor) *DB {
	cc := m.Pool().Config().ConnConfig
	db := &DB{core: &core{
		cfg: cfg, application: cc.RuntimeParams["application_name"], log: log, monitor: m,
		tracer: cc.Tracer, mode: cc.DefaultQueryExecMode, statements: cc.StatementCacheCapacity,
	}}
	return db.Named(rootClient)
}

// rootClient is the name of the handle that nobody named.
const rootClient = "app"

// start opens the pool. Client options that can't be met fail it.
func (db *DB) start(ctx context.Context) error {
	db.core.mu.Lock()
	err := db.core.misuse
	db.core.mu.Unlock()
	if err != nil {
		// Nothing was opened; this ends what the constructor made.
		_, _ = lifecycle.Drain(ctx, db.core.monitor, 0)
		return err
	}
	err = db.core.monitor.Start(ctx)
	if err != nil && !db.core.cfg.NamesDatabase() {
		err = fmt.Errorf("no setting names a database (set DATABASE_URL, or add devdb.Module for a throwaway server): %w", err)
	}
	return err
}

// Close drains the pool as a stop of the application does: within
// DB_DRAIN_TIMEOUT_MS and three quarters of ctx's time. It returns a
// *lifecycle.DrainError when holders had to be cut off. Closing again is a no-op.
// It closes the pool for all clients.
func (db *DB) Close(ctx context.Context) error {
	_, err := lifecycle.Drain(ctx, db.core.monitor, db.core.cfg.DrainTimeout)
	return err
}

// Named returns a handle on the same pool for the client name: it shows in
// errors, logs and statistics, and with the tenant's settings or limits of its own
// in pg_stat_activity, as "application/name". Options are those of Client. Asking for a name
// again gives another handle of the same client, with the options of both.
func (db *DB) Named(name string, opts ...ClientOption) *DB {
	c := db.core
	c.mu.Lock()
	defer c.mu.Unlock()
	var cl *client
	for _, known := range c.clients {
		if known.name == name {
			cl = known
		}
	}
	if cl == nil {
		cl = &client{name: name}
		c.clients = append(c.clients, cl)
	}
	for _, o := range opts {
		if err := o.apply(cl); err != nil && c.misuse == nil {
			c.misuse = fmt.Errorf("fxdb: client %q: %w", name, err)
		}
	}
	cl.scope.Store(newScopeText(c.cfg, c.application, name, cl.limits))
	return &DB{core: c, client: cl}
}

// Pool returns the pool itself, for libraries that want one. Its uses are
// bounded, tracked and drained like all others, but they carry no tenant: with
// an identity in the context they fail with ErrUnscoped.
func (db *DB) Pool() *pgxpool.Pool { return db.core.monitor.Pool() }

// Monitor returns what watches the pool: health, holders, handlers.
func (db *DB) Monitor() *lifecycle.Monitor { return db.core.monitor }
