package fxdb

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/lifecycle"
)

// newDB checks the configuration, and builds the shared pool and the pools of
// DB_DEDICATED. newDB opens no connection.
func newDB(cfg Config, o options, origin string) (*DB, error) {
	db, err := build(cfg, o, origin)
	return db, prefixed(settingsPrefix(cfg.pool), err)
}

func build(cfg Config, o options, origin string) (*DB, error) {
	cfg = cfg.withDefaults()
	if cfg.pool != "" && !cfg.NamesDatabase() {
		return nil, &ConfigError{Setting: "DATABASE_URL", Reason: "is not set, and no other setting names the database of the pool " + cfg.pool +
			": set DATABASE_URL, or DB_HOST, DB_NAME, DB_USER and DB_PASSWORD"}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pc, yields, err := cfg.build()
	if err != nil {
		return nil, err
	}
	if err := o.configurePool(cfg, pc); err != nil {
		return nil, err
	}
	for _, m := range cfg.misspelt {
		o.log.Warn("a variable looks like a setting, and has no effect: correct the name",
			zap.String("variable", m.variable), zap.String("setting", m.setting))
	}
	warnOfUnverified(o.log, cfg.linkSetting(), pc.ConnConfig)
	statement := knownTimeout(pc.ConnConfig.RuntimeParams)
	if cfg.pooled() {
		cfg.pooledTimeouts = takeTimeouts(pc.ConnConfig.RuntimeParams)
	}
	c := &core{cfg: cfg, fx: o.fx, log: o.log, dedicated: make(map[string]*lifecycle.Monitor), statement: statement, traceIDOf: o.traceID}
	if err := c.setHooks(pc, o); err != nil {
		return nil, err
	}
	lc, err := c.lifecycleConfig(pc, o)
	if err != nil {
		return nil, err
	}
	lc.Yields, lc.OpenedBy = yields, origin
	if err := c.newMonitors(lc); err != nil {
		for _, m := range c.dedicated {
			m.Pool().Close()
		}
		return nil, err
	}
	cc := c.monitor.Pool().Config().ConnConfig
	c.application = cc.RuntimeParams["application_name"]
	c.engine = scoped.Engine{Tracer: cc.Tracer, Mode: cc.DefaultQueryExecMode, Capacity: cc.StatementCacheCapacity, Pooled: cfg.pooled(), Looks: cfg.SessionCheck}
	if c.engine.Mode == pgx.QueryExecModeCacheDescribe {
		c.engine.Capacity = cc.DescriptionCacheCapacity
	}
	c.root = (&DB{core: c}).Named(rootClient)
	return c.root, nil
}

// setHooks sets what runs around a connection and its statements: the source of passwords, the
// hooks of a new connection, and the tracers.
func (c *core) setHooks(pc *pgxpool.Config, o options) error {
	password, err := c.cfg.passwordSource(o.password)
	if err != nil {
		return err
	}
	if password != nil {
		pc.BeforeConnect = before(password.beforeConnect(), pc.BeforeConnect)
	}
	if len(o.tracers) > 0 {
		c.traced, c.txTracers = &redactingTracer{multitracer.New(o.tracers...)}, txTracers(o.tracers)
		pc.ConnConfig.Tracer = c.traced
	}
	if err := c.setRawPool(pc, o.rawPool); err != nil {
		return err
	}
	return onConnect(pc, o.hooks)
}

// lifecycleConfig returns the configuration of the shared pool. The source of migrations is
// checked here, and runs with the pool's start.
func (c *core) lifecycleConfig(pc *pgxpool.Config, o options) (lc lifecycle.Config, err error) {
	cfg := c.cfg
	sources, err := migrate.Check(o.sources)
	if err != nil {
		return lc, fmt.Errorf("fxdb: %w", err)
	}
	c.parts = partsOf(o, sources)
	migrations, err := newMigrator(cfg, pc.BeforeConnect, o.log, sources)
	if err != nil {
		return lc, err
	}
	return lifecycle.Config{
		Pool:               pc,
		Name:               pc.ConnConfig.RuntimeParams["application_name"],
		AcquireTimeout:     cfg.ConnectionTimeout,
		Nested:             cfg.NestedAcquire,
		Replicas:           cfg.ReplicasOfApp,
		MaxWaiting:         cfg.QueueMax,
		QueueTarget:        cfg.QueueTarget,
		QueueInterval:      cfg.QueueInterval,
		ServerWaitFraction: cfg.ServerWaitFraction,
		LeakThreshold:      cfg.LeakThreshold,
		SlowQuery:          cfg.SlowQuery,
		Start:              cfg.Start,
		RawAcquire:         c.rawAcquire,
		Sessions:           c.sessions(),
		Advice:             advice,
		Settings:           poolSettings(cfg.pool),
		Pooler:             cfg.pooled(),
		Callers:            o.callers || cfg.CallSites,
		Layers:             layers(),
		LogFields:          logFields(o.tracers),
		Logger:             o.log,
		Migrates:           cfg.Migrate,
		BeforeReady: func(ctx context.Context) error {
			c.endsTransactions.Store(c.monitor.ServerVersion() >= transactionTimeoutVersion)
			pc := c.yielded(pc)
			c.monitor.PreferAnswering(ctx, pc.ConnConfig)
			startup := &startConn{pc: pc}
			defer startup.close(ctx)
			if cfg.Migrate {
				if err := migrations.up(ctx, pc.ConnConfig, c.monitor.PreferAnswering); err != nil {
					return err
				}
			} else {
				c.warnOfMissingMigrations(ctx, startup, sources)
			}
			return c.verifyTenancy(ctx, startup, o)
		},
	}, nil
}

// layers returns the packages between a program and an acquire: call sites are outside the layers.
func layers() []string {
	own := reflect.TypeFor[DB]().PkgPath()
	return []string{own, own + "/fxdbsql", reflect.TypeFor[sql.DB]().PkgPath()}
}

// newMonitors builds the pools of DB_DEDICATED and the shared pool. Each pool counts the
// connections of its siblings.
func (c *core) newMonitors(lc lifecycle.Config) (err error) {
	shared := lc.Pool
	all := int(shared.MaxConns)
	for _, d := range c.cfg.Dedicated {
		all += int(dedicatedConns(d, shared.MaxConns))
	}
	if !c.cfg.pooled() {
		lc.ListenConns = 1 // of DB.Listen
	}
	for _, d := range c.cfg.Dedicated {
		name, _, _ := dedicated(d) // validate has read d
		conns := dedicatedConns(d, shared.MaxConns)
		own := lc
		own.BeforeReady, own.Migrates = nil, false // the shared pool migrates and verifies
		own.SiblingPools, own.SiblingConns = nil, all-int(conns)
		own.Pool, own.OpenedBy, own.Name = shared.Copy(), "DB_DEDICATED, client "+name, lc.Name+"/"+name
		own.Pool.MaxConns, own.Pool.MinConns = conns, min(conns, shared.MinConns)
		m, err := c.newMonitor(own)
		if err != nil {
			return err
		}
		c.dedicated[name] = m
		lc.SiblingPools = append(lc.SiblingPools, m)
	}
	lc.SiblingConns = all - int(shared.MaxConns)
	if c.monitor, err = c.newMonitor(lc); err != nil {
		return err
	}
	c.listener = newListener(c.monitor, c.log, c.cfg.ConnectionTimeout)
	return nil
}

// newMonitor builds a pool, whose connections watch deadlines: each pool cancels its own statements.
func (c *core) newMonitor(lc lifecycle.Config) (m *lifecycle.Monitor, err error) {
	if lc.Admission, err = newAdmission(c.cfg, int(lc.Pool.MaxConns)); err != nil {
		return nil, err
	}
	lc.Pool.ConnConfig.BuildContextWatcherHandler = scoped.NewWatcher(c.grace, func(conn *pgconn.PgConn) bool { return m.CancelStatement(conn) })
	m, err = lifecycle.New(lc)
	return m, err
}
