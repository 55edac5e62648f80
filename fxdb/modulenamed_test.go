package fxdb_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/testkit"
)

// place is a client that knows the databases it was given.
type place struct {
	db      *fxdb.DB
	pool    *pgxpool.Pool
	monitor *lifecycle.Monitor
}

// placed declares a client. Its *place has the client's name for a tag.
func placed(name string, opts ...fxdb.ClientOption) fx.Option {
	return fxdb.Client(name, fx.Annotate(func(db *fxdb.DB, pool *pgxpool.Pool, monitor *lifecycle.Monitor) *place {
		return &place{db, pool, monitor}
	}, tagged(name)), opts...)
}

func tagged(name string) fx.Annotation { return fx.ResultTags(`name:"` + name + `"`) }

func populated[T any](name string, to *T) fx.Option {
	return fx.Populate(fx.Annotate(to, fx.ParamTags(`name:"`+name+`"`)))
}

// database asks the server.
func database(t testing.TB, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (name string) {
	t.Helper()
	require.NoError(t, q.QueryRow(within(t), "select current_database()").Scan(&name))
	return name
}

func TestThreeDatabasesInOneApplication(t *testing.T) {
	size.SkipShort(t)
	databases := make(map[string]string)
	for variable, pool := range map[string]string{"": "app", "REPORTING_": "reports", "ARCHIVE_": "archived"} {
		db := testkit.DB(t)
		databases[pool] = db.Pool().Config().ConnConfig.Database
		t.Setenv(variable+"DATABASE_URL", db.Pool().Config().ConnString())
		t.Setenv(variable+"DB_MIGRATE_URL", testkit.OwnerPool(t, db).Config().ConnString())
		t.Setenv(variable+"DB_MIGRATE", "true")
	}
	t.Setenv("DB_POOL_MAX", "3")
	t.Setenv("REPORTING_DB_POOL_MAX", "4")

	table := func(name string) fx.Option {
		return fxdb.Migrations(name, migration("create table "+name+" (id int);\n"))
	}
	core, logs := observer.New(zap.InfoLevel)
	var app, archive *fxdb.DB
	var reports, archived, inner *place
	var sqlOut, sqlIn *sql.DB
	var cfg fxdb.Config
	application := fxtest.New(t,
		fx.Provide(func() *zap.Logger { return zap.New(core) }),
		fxdb.Module, table("app"),
		// What is done to Module's at the root reaches no other pool.
		fx.Decorate(func(c fxdb.Config) fxdb.Config { c.DrainTimeout++; return c }),
		fxdb.Named("everybody"),
		fxdbsql.Module, fx.Populate(&app, &sqlOut),
		fxdb.ModuleNamed("reporting",
			table("reports"), placed("reports", fxdb.RequireTenant()),
			fxdb.Named("analysts"), // of all clients of this pool
			fx.Module("somebody's", placed("inner")),
			fxdbsql.Module, fx.Invoke(func(db *sql.DB) { sqlIn = db }),
		),
		fxdb.ModuleNamed("archive",
			table("archived"), placed("archived"),
			fx.Decorate(func(c fxdb.Config) fxdb.Config { c.PoolMax = 5; return c })),
		populated("reports", &reports), populated("inner", &inner), populated("archived", &archived),
		populated("archive", &archive), populated("reporting", &cfg),
	)
	application.RequireStart()
	require.Equal(t, "everybody", app.Stats().Clients[len(app.Stats().Clients)-1].Name)
	require.Equal(t, []string{"analysts", "analysts.inner", "analysts.reports", "app"}, clientNames(inner.db))
	require.NotEqual(t, "archive", archive.Monitor().Database())

	for name, db := range map[string]*fxdb.DB{"app": app, "reports": inner.db, "archived": archived.db} {
		require.Equal(t, databases[name], database(t, db))
		for other := range databases {
			var exists bool
			require.NoError(t, db.QueryRow(within(t), "select to_regclass($1) is not null", other).Scan(&exists))
			require.Equal(t, name == other, exists, "migrations of %s in the database of %s", other, name)
		}
	}
	require.Equal(t, databases["reports"], database(t, inner.pool))
	require.Same(t, inner.db.Monitor(), inner.monitor)
	var name string
	require.NoError(t, sqlIn.QueryRow("select current_database()").Scan(&name))
	require.Equal(t, databases["reports"], name)
	require.NoError(t, sqlOut.QueryRow("select current_database()").Scan(&name))
	require.Equal(t, databases["app"], name)
	require.NoError(t, reports.db.Ping(t.Context()))
	_, err := reports.db.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired)

	require.Equal(t, []int{3, 4, 5}, []int{app.Stats().Max, reports.db.Stats().Max, archive.Stats().Max})
	require.Equal(t, fxdb.DefaultDrainTimeout, cfg.DrainTimeout)
	require.Equal(t, "reporting", logs.FilterMessage("pool started").All()[1].ContextMap()["pool"])

	application.RequireStop()
	for _, db := range []*fxdb.DB{app, reports.db, archive} {
		require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrDraining)
	}
}

func clientNames(db *fxdb.DB) (names []string) {
	for _, c := range db.Stats().Clients {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

func TestANamedPoolStandsAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.ModuleNamed("reporting", fx.Replace(fxdb.Config{URL: urlOf(t)})), populated("reporting", &db))
	app.RequireStart()
	require.Equal(t, filepath.Base(os.Args[0])+".reporting", db.Pool().Config().ConnConfig.RuntimeParams["application_name"])
	app.RequireStop()
}

// In a migration to one pool the pool from before is still there.
func TestOwnPoolBesideANamedOne(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, own := urlOf(t), testkit.Pool(t)
	provide := fx.Provide(func() *pgxpool.Pool { return own })
	var before, after *pgxpool.Pool
	app := fxtest.New(t, provide, fx.Invoke(func(p *pgxpool.Pool) { before = p }),
		fxdb.ModuleNamed("onepool", fx.Replace(fxdb.Config{URL: url}), fx.Invoke(func(p *pgxpool.Pool) { after = p })))
	app.RequireStart()
	require.Same(t, own, before)
	require.NotEqual(t, database(t, before), database(t, after))
	app.RequireStop()

	for _, opts := range [][]fx.Option{{provide, fxdb.Module}, {fxdb.Module, provide}} {
		err := fx.New(fx.NopLogger, fx.Options(opts...), fx.Replace(fxdb.Config{URL: url})).Err()
		require.ErrorContains(t, err, "poolOfModuleTagYourOwnOrUseModuleNamed")
	}
	err := fx.New(fx.NopLogger, fxdb.Module, fxdb.Module).Err()
	require.ErrorContains(t, err, "UseModuleNamedForAnother")
	err = fx.New(fx.NopLogger, fxdb.Module, fx.Supply(fxdb.Config{URL: url})).Err()
	require.ErrorContains(t, err, "UseReplaceForYours")
	err = fx.New(fx.NopLogger, fxdb.ModuleNamed("reporting", fxdb.Module, fx.Replace(fxdb.Config{URL: url})), fx.Invoke(func(*fxdb.DB) {})).Err()
	require.ErrorContains(t, err, "put fxdb.Module beside")
}

func TestNamedPoolsSettings(t *testing.T) {
	size.SkipShort(t)
	t.Run("a name that variables can't have", func(t *testing.T) {
		for _, name := range []string{"", "Reporting", "read-model", "1st", "a b", "über"} {
			var bad *fxdb.ConfigError
			require.ErrorAs(t, fx.New(fx.NopLogger, fxdb.ModuleNamed(name)).Err(), &bad)
			require.Equal(t, "ModuleNamed", bad.Setting)
			_, err := fxdb.ConfigFromEnvNamed(name)
			require.ErrorAs(t, err, &bad)
			require.Equal(t, "ConfigFromEnvNamed", bad.Setting)
			require.ErrorContains(t, err, fmt.Sprintf("%q", name))
		}
	})
	t.Run("nothing names its database", func(t *testing.T) {
		t.Setenv("PGHOST", "main.example")
		t.Setenv("DATABASE_URL", "postgres://main.example/main")
		err := fx.New(fx.NopLogger, fxdb.ModuleNamed("reporting")).Err()
		var bad *fxdb.ConfigError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, "REPORTING_DATABASE_URL", bad.Setting)
		require.ErrorContains(t, err, "REPORTING_DB_HOST")
		cfg, err := fxdb.ConfigFromEnvNamed("reporting")
		require.NoError(t, err)
		_, err = fxdb.Open(t.Context(), cfg)
		require.ErrorAs(t, err, &bad)
	})
	t.Run("bad values have the prefix in their names", func(t *testing.T) {
		t.Setenv("REPORTING_DB_POOL_MAX", "many")
		t.Setenv("REPORTING_DB_POOL_MIN", "-1")
		t.Setenv("DB_SHARING", "perhaps")
		_, err := fxdb.ConfigFromEnvNamed("reporting")
		require.ErrorContains(t, err, "fxdb: REPORTING_DB_POOL_MAX: ")
		require.ErrorContains(t, err, "fxdb: REPORTING_DB_POOL_MIN: ")
		require.NotContains(t, err.Error(), "SHARING")
		err = fx.New(fx.NopLogger, fxdb.ModuleNamed("archive", fx.Replace(fxdb.Config{URL: "postgres://h/d", PoolMin: 3, PoolMax: 2}))).Err()
		require.ErrorContains(t, err, "fxdb: ARCHIVE_DB_POOL_MIN: 3 is more than ARCHIVE_DB_POOL_MAX")
	})
	t.Run("Module's variables are not its own", func(t *testing.T) {
		t.Setenv("DB_POOL_MAX", "3")
		t.Setenv("REPORTING_DB_HOST", "reporting.example")
		cfg, err := fxdb.ConfigFromEnvNamed("reporting")
		require.NoError(t, err)
		require.Equal(t, fxdb.DefaultPoolMax, cfg.PoolMax)
		require.Equal(t, "reporting.example", cfg.Host)
		cfg, err = fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, 3, cfg.PoolMax)
		require.Equal(t, "localhost", cfg.Host)
	})
	t.Run("a slip in a variable's name", func(t *testing.T) {
		t.Setenv("REPORTING_DB_POOL_MX", "3")
		core, logs := observer.New(zap.WarnLevel)
		err := fx.New(fx.NopLogger, fx.Supply(zap.New(core)), fxdb.ModuleNamed("reporting", fx.Decorate(func(c fxdb.Config) fxdb.Config {
			c.URL = "postgres://h/d"
			return c
		}))).Err()
		require.NoError(t, err)
		require.Equal(t, "REPORTING_DB_POOL_MAX", logs.All()[0].ContextMap()["setting"])
	})
	t.Run("its password is not Module's", func(t *testing.T) {
		var asked []string
		ask := func(name string) fxdb.PasswordSource {
			return func(context.Context) (string, error) { asked = append(asked, name); return "", nil }
		}
		app := fxtest.New(t, fxdb.ModuleNamed("reporting", fx.Replace(fxdb.Config{URL: urlOf(t), PoolMin: 1})),
			fx.Supply(ask("Module's")), fx.Provide(fx.Annotate(func() fxdb.PasswordSource { return ask("its own") }, tagged("reporting"))))
		app.RequireStart().RequireStop()
		require.Contains(t, asked, "its own")
		require.NotContains(t, asked, "Module's")
	})
}

// A *sql.DB from outside would be on another database, and nobody would notice.
func TestASQLDBFromOutsideIsNoNamedPools(t *testing.T) {
	t.Parallel()
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d"}), fxdbsql.Module,
		fxdb.ModuleNamed("reporting", fx.Replace(fxdb.Config{URL: "postgres://h/d"}), fx.Invoke(func(*sql.DB) {})))
	require.ErrorContains(t, app.Err(), "add fxdbsql.Module")
}

// A stop that hangs drains the pools of all modules.
func TestAStopThatHangsDrainsANamedPoolToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, module := range map[string]func(db **fxdb.DB, hang fx.Option, opts ...fx.Option) fx.Option{
		"a hook in the application": func(db **fxdb.DB, hang fx.Option, opts ...fx.Option) fx.Option {
			return fx.Options(fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t)}), fxdb.ModuleNamed("reporting", opts...), populated("reporting", db), hang)
		},
		"a hook in the module": func(db **fxdb.DB, hang fx.Option, opts ...fx.Option) fx.Option {
			return fx.Options(fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t)}), fxdb.ModuleNamed("reporting", append(opts, hang)...), populated("reporting", db))
		},
		"a hook in the module, without Module": func(db **fxdb.DB, hang fx.Option, opts ...fx.Option) fx.Option {
			return fx.Options(fxdb.ModuleNamed("reporting", append(opts, hang)...), populated("reporting", db))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := notesDB(t)
			over := make(chan struct{})
			defer close(over)
			var db *fxdb.DB
			hang := fx.Invoke(fx.Annotate(func(lc fx.Lifecycle, _ *fxdb.DB) { lc.Append(fx.StopHook(func() { <-over })) },
				fx.ParamTags("", `name:"reporting"`)))
			app := fx.New(fx.NopLogger, module(&db, hang,
				fx.Replace(fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "hanging"})))
			require.NoError(t, app.Start(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			require.ErrorIs(t, app.Stop(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrDraining)
			requireNoBackends(t, own, "hanging")
		})
	}
}

func TestDevdbGivesEachPoolADatabase(t *testing.T) {
	size.SkipShort(t)
	var app, reporting *fxdb.DB
	a := fxtest.New(t, fxdb.Module, devdb.Module, fx.Populate(&app), fxdb.ModuleNamed("reporting",
		fxdb.Migrations("reports", migration("create table reports (id int);\n"))), populated("reporting", &reporting))
	a.RequireStart()
	require.Equal(t, "app", database(t, app))
	require.Equal(t, "app_reporting", database(t, reporting))
	a.RequireStop()
}

func TestSwapSwapsNamedPoolsToo(t *testing.T) {
	size.SkipShort(t)
	production := testkit.DB(t)
	t.Setenv("DATABASE_URL", production.Pool().Config().ConnString())
	t.Setenv("REPORTING_DATABASE_URL", production.Pool().Config().ConnString())
	for _, module := range []fx.Option{fxdb.Module, fx.Options()} {
		var reporting *fxdb.DB
		var reports *place
		a := fxtest.New(t, module, testkit.Swap(t), populated("reporting", &reporting), populated("reports", &reports),
			fxdb.ModuleNamed("reporting", placed("reports"), fxdb.Migrations("reports", migration("create table reports (id int);\n"))))
		a.RequireStart()
		require.NotEqual(t, database(t, production), database(t, reporting))
		require.Equal(t, database(t, reporting), database(t, reports.db))
		_, err := reports.db.Exec(t.Context(), "insert into reports values (1)")
		require.NoError(t, err)
		require.Equal(t, database(t, reporting), database(t, testkit.OwnerPool(t, reporting)))
		a.RequireStop()
	}
	require.ErrorIs(t, fxtest.New(t, testkit.Swap(t)).Start(t.Context()), testkit.ErrNotSwapped)
}

func TestAFullNamedPoolNamesItsOwnSetting(t *testing.T) {
	t.Setenv("REPORTING_DATABASE_URL", testkit.DB(t).Pool().Config().ConnString())
	t.Setenv("REPORTING_DB_POOL_MAX", "1")
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.ModuleNamed("reporting"), populated("reporting", &db))
	app.RequireStart()
	defer app.RequireStop()
	held, err := db.Acquire(within(t))
	require.NoError(t, err)
	defer held.Release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorContains(t, db.Ping(ctx), "raise REPORTING_DB_POOL_MAX,")
}
