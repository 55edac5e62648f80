package fxdb

import (
	"io/fs"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/fallback"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/tenant"
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

// ErrMigrationChanged fails a start that migrates (DB_MIGRATE) where a migration's
// file is another than when it was applied. The error names the file.
var ErrMigrationChanged = migrate.ErrChanged

// Migrations contributes goose SQL migrations, applied at start when DB_MIGRATE
// is true. source is their namespace: each has a version table of its own,
// onepool.<source>_versions, and sources are applied in the order of their
// names, under one advisory lock. fsys holds *.sql files at its root or one
// folder below. A bad name, a name given twice or a source without a file fails
// when the graph is built.
func Migrations(source string, fsys fs.FS) fx.Option {
	return fx.Supply(fx.Annotate(migrate.Source{Name: source, FS: fsys}, fx.ResultTags(migrate.Group)))
}

// configure reads the environment. Where that names no database, a fallback in
// the graph, such as devdb.Module's, may.
func configure(p struct {
	fx.In
	Fallback fallback.Func[Config] `optional:"true"`
}) (Config, error) {
	cfg, err := ConfigFromEnv()
	if err != nil || p.Fallback == nil || cfg.NamesDatabase() {
		return cfg, err
	}
	return p.Fallback(cfg)
}

type params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Stopping  *stopping
	Config    Config
	Log       *zap.Logger           `optional:"true"`
	Password  PasswordSource        `optional:"true"`
	Sources   []migrate.Source      `group:"onepool.migrations"`
	Tracers   []pgx.QueryTracer     `group:"onepool.tracers"`
	Verify    []tenant.VerifyOption `group:"onepool.verify"`
}

func provide(p params) (*DB, error) {
	if p.Log == nil {
		p.Log = zap.NewNop()
	}
	db, err := newDB(p.Config, options{log: p.Log, sources: p.Sources, password: p.Password, tracers: p.Tracers, verify: p.Verify}, "fxdb.Module, application "+p.Config.ApplicationName)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: db.start, OnStop: p.Stopping.add(db).drain})
	return db, nil
}
