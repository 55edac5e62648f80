package fxdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
)

// Module provides the pool to an fx application: Config (from the environment), *DB,
// *pgxpool.Pool and *lifecycle.Monitor. OnStart starts the pool, OnStop drains the pool;
// both keep to a share of fx's time. A *zap.Logger in the graph takes the pool's log
// lines: fx.Provide(zap.NewProduction) adds a logger. Without a *zap.Logger the pool writes
// warnings and errors to stderr; fx.Supply(zap.NewNop()) silences the pool. A
// [PasswordSource] in the graph returns passwords. The members of the value group
// "onepool.tracers" (pgx.QueryTracer, as for [WithTracer]) trace the pool.
//
// Change the configuration with fx.Decorate or fx.Replace(Config{...}). The pool starts
// even if no constructor takes the pool, because an application that names a database
// wants to know whether the server answers.
//
// An application has one Module. Further databases, and the only database of an
// application that still provides a *pgxpool.Pool of its own, come from [ModuleNamed].
var Module = fx.Options(
	fx.Module("fxdb",
		fx.Provide(configOfModuleUseReplaceForYoursOrUseModuleNamedForAnother, provide, poolOfModuleTagYourOwnOrUseModuleNamed, (*DB).Monitor),
		fx.Provide(func() *stopping { return &stopping{} }),
		fx.Invoke(func(*DB) {}),
	),
	fx.Decorate(watchLifecycle),
)

// If two functions provide one type, fx refuses the graph, and the error names the two
// functions. So the functions' names say what to do.

func configOfModuleUseReplaceForYoursOrUseModuleNamedForAnother(s configSources) (Config, error) {
	return configure(s)
}

func poolOfModuleTagYourOwnOrUseModuleNamed(db *DB) *pgxpool.Pool { return db.Pool() }

type configSources struct {
	fx.In

	Pool     graph.Pool              `optional:"true"`
	Fallback graph.Fallback[Config]  `optional:"true"`
	Swap     graph.Swap[Config, *DB] `optional:"true"`
}

// configure reads the environment. If the environment names no database, a fallback in
// the graph, such as devdb.Module's, may. A swapped pool reads no setting.
func configure(s configSources) (Config, error) {
	if s.Swap.Database != nil {
		return Config{}, nil
	}
	cfg, err := configFromEnv(string(s.Pool))
	if err != nil || s.Fallback == nil || cfg.NamesDatabase() {
		return cfg, err
	}
	if cfg, err = s.Fallback(s.Pool, cfg); err == nil {
		cfg.verifyByDefault()
	}
	return cfg, err
}

type params struct {
	fx.In

	Lifecycle     fx.Lifecycle
	Stopping      *stopping
	Config        Config
	Password      PasswordSource          `optional:"true"`
	Swap          graph.Swap[Config, *DB] `optional:"true"`
	Contributions graph.Contributions
}

func provide(p params) (*DB, error) {
	if p.Contributions.Pool != "" {
		return nil, fmt.Errorf("fxdb.Module stands inside fxdb.ModuleNamed(%q): put fxdb.Module beside fxdb.ModuleNamed", p.Contributions.Pool)
	}
	return p.open("fxdb.Module")
}

// open builds the pool of a module, and has fx start and stop the pool.
func (p params) open(origin string) (*DB, error) {
	o, err := contributed(p.Contributions)
	if err != nil {
		return nil, err
	}
	if p.Swap.Database != nil {
		db, err := swapped(p.Swap, o)
		if err == nil {
			p.Lifecycle.Append(fx.Hook{OnStop: p.Stopping.add(db).drain})
		}
		return db, err
	}
	o.password = p.Password
	db, err := newDB(p.Config, o, origin+", application "+p.Config.ApplicationName)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: db.start, OnStop: p.Stopping.add(db).drain})
	return db, nil
}

// contributed collects the graph's contributions to a pool. All pools share loggers and
// tracers.
func contributed(c graph.Contributions) (o options, err error) {
	o = options{fx: true, log: c.Log, logged: c.Log != nil, tracers: c.Tracers}
	if !o.logged {
		o.log = stderrLog()
	}
	if c.Pool != "" {
		o.log = o.log.With(zap.String("pool", string(c.Pool)))
	}
	for _, s := range c.Sources {
		if s.Pool == string(c.Pool) {
			o.sources = append(o.sources, s)
		}
	}
	for _, v := range c.Verify {
		if v.Pool == c.Pool {
			o.verify = append(o.verify, v.Options...)
		}
	}
	for _, h := range c.OnConnect {
		if h.Pool == c.Pool {
			o.hooks = append(o.hooks, h)
		}
	}
	for _, p := range c.ConfigurePool {
		if p.Pool == c.Pool {
			o.changes = append(o.changes, p.Change)
		}
	}
	switch {
	case len(c.TraceID) > 1:
		return o, errTwoTraceIDs
	case len(c.TraceID) == 1:
		o.traceID = c.TraceID[0]
	}
	o.rawPool, err = rawPoolMode(c.RawPool, c.Pool)
	return o, err
}

// swapped opens a test's pool at once: a test may use the pool before the application starts.
func swapped(swap graph.Swap[Config, *DB], o options) (*DB, error) {
	test, err := swap.Database(o.sources)
	if err != nil {
		return nil, err
	}
	cfg := test.Config
	if test.Verify {
		cfg.verifyByDefault()
	}
	o.callers, o.swapped, o.applied, o.sources = true, true, o.sources, nil // the test's database has the migrations already
	if !o.logged {
		o.log = test.Log
	}
	ctx, cancel := context.WithTimeout(context.Background(), swapTimeout)
	defer cancel()
	db, err := newDB(cfg, o, "testkit.Swap")
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		return nil, err
	}
	test.Opened(db)
	return db, nil
}

// swapTimeout bounds the start of a test's pool. A busy machine needs seconds.
const swapTimeout = time.Minute
