package fxdb

import (
	"context"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
)

// Module provides the pool to an fx application: Config (from the environment),
// *DB, *pgxpool.Pool and *lifecycle.Monitor. OnStart starts the pool, OnStop
// drains it; both keep to a share of fx's time. A *zap.Logger in the graph takes
// its log lines, a PasswordSource is asked for passwords, and the members of the
// value group "onepool.tracers" (pgx.QueryTracer, as for WithTracer) trace it.
//
// Change the configuration with fx.Decorate or fx.Replace(Config{...}). The pool
// starts even where nothing takes it: an application that names a database wants
// to know that it is there.
var Module = fx.Options(
	fx.Module("fxdb",
		fx.Provide(configure, provide, (*DB).Pool, (*DB).Monitor),
		fx.Provide(func() *stopping { return &stopping{} }),
		fx.Invoke(func(*DB) {}),
	),
	fx.Decorate(watchLifecycle),
)

// configure reads the environment. If the environment names no database, a fallback in
// the graph, such as devdb.Module's, may. A swapped pool reads no setting.
func configure(p struct {
	fx.In
	Fallback graph.Fallback[Config]  `optional:"true"`
	Swap     graph.Swap[Config, *DB] `optional:"true"`
}) (Config, error) {
	if p.Swap.Config != nil {
		return Config{}, nil
	}
	cfg, err := ConfigFromEnv()
	if err != nil || p.Fallback == nil || cfg.NamesDatabase() {
		return cfg, err
	}
	return p.Fallback(cfg)
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
	if p.Swap.Config != nil {
		return swapped(p.Swap, contributed(p.Contributions, nil))
	}
	db, err := newDB(p.Config, contributed(p.Contributions, p.Password), "fxdb.Module, application "+p.Config.ApplicationName)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: db.start, OnStop: p.Stopping.add(db).drain})
	return db, nil
}

func contributed(c graph.Contributions, password PasswordSource) options {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return options{fx: true, log: c.Log, sources: c.Sources, password: password, tracers: c.Tracers, verify: c.Verify}
}

// swapped opens a test's pool at once: the application's hooks are not the test's.
func swapped(swap graph.Swap[Config, *DB], o options) (*DB, error) {
	cfg, err := swap.Config(o.sources)
	if err != nil {
		return nil, err
	}
	o.callers, o.sources = true, nil // the test's database has the migrations already
	ctx, cancel := context.WithTimeout(context.Background(), swapTimeout)
	defer cancel()
	db, err := newDB(cfg, o, "testkit.Swap")
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		return nil, err
	}
	swap.Opened(db)
	return db, nil
}

// swapTimeout bounds the start of a test's pool. A busy machine needs seconds.
const swapTimeout = time.Minute
