package fxdb

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/lifecycle"
)

// ModuleNamed provides the pool of a further database to an fx application. The pool
// reads the settings of [ConfigFromEnv] with the name as a prefix: the pool "reporting" reads
// REPORTING_DATABASE_URL, REPORTING_DB_POOL_MAX and so on, and no variable without the
// prefix. Two pools share no setting. A setting must name the database: libpq's variables
// (PGHOST, PGPASSWORD) name the server of Module only. A user, password or database that the
// named pool's connection string leaves out is an error if libpq's variables name one.
//
// opts belong to the named pool. Inside opts, *DB, *pgxpool.Pool, *lifecycle.Monitor and
// Config are the named pool's. Clients, fxdbsql.Module and foreign modules use the named
// pool without a change. Migrations and VerifyOptions apply to the named pool's database.
// A *sql.DB from outside opts is an error inside opts, because the *sql.DB uses another
// database:
//
//	fx.New(
//		fxdb.Module,
//		fxdb.Client("orders", orders.New),
//		fxdb.ModuleNamed("reporting",
//			fxdb.Migrations("reports", reports.Migrations),
//			fxdb.Client("reports", reports.New, fxdb.RequireTenant()),
//		),
//	)
//
// Outside opts the four types carry the tag `name:"reporting"`. The tagged *DB has no
// client's name: call [DB.Named] first. Change the configuration with fx.Decorate or
// fx.Replace(Config{...}) in opts. The pool asks the tagged [PasswordSource] and ignores
// Module's. All pools share the loggers and the tracers.
//
// An application may use ModuleNamed without Module, for example beside a *pgxpool.Pool
// that the application provides. Without Module, only hooks from inside opts yield the
// drain's share of the stop: a hook outside opts that hangs may use the whole stop.
//
// The name has up to 30 lower-case letters, digits and underscores, and starts with a
// letter. A name of another form fails the application with a [*ConfigError].
func ModuleNamed(name string, opts ...fx.Option) fx.Option {
	if err := checkPoolName("ModuleNamed", name); err != nil {
		return fx.Error(err)
	}
	tag := fmt.Sprintf(`name:%q`, name)
	of, result := fx.ParamTags(tag), fx.ResultTags(tag)
	return fx.Module("fxdb."+name,
		fx.Supply(graph.Pool(name), fx.Private),
		fx.Provide(namedStoppingOf, fx.Private),
		fx.Decorate(func(lc fx.Lifecycle, s namedStopping) fx.Lifecycle { return watchLifecycle(lc, s.stopping) }),
		fx.Provide(fx.Annotate(func(p PasswordSource) namedPassword { return namedPassword{p} },
			fx.ParamTags(tag+` optional:"true"`)), fx.Private),
		fx.Provide(
			fx.Annotate(configure, result),
			fx.Annotate((*DB).Pool, of, result),
			fx.Annotate((*DB).Monitor, of, result),
		),
		untagged[Config](of), untagged[*DB](of), untagged[*pgxpool.Pool](of), untagged[*lifecycle.Monitor](of),
		fx.Provide(func() (*sql.DB, error) {
			return nil, fmt.Errorf("fxdb.ModuleNamed(%q): a *sql.DB from outside is on another database: add fxdbsql.Module to the options of ModuleNamed", name)
		}, fx.Private),
		// A module of its own, so that opts may decorate what is untagged here.
		fx.Module("fxdb."+name,
			fx.Provide(provideNamed, fx.Private),
			fx.Provide(fx.Annotate(func(db namedDB) *DB { return db.DB }, result)),
			fx.Options(opts...),
			fx.Invoke(fx.Annotate(func(*DB) {}, of)),
		),
	)
}

// untagged provides the tagged T without the tag inside a module. The decorator shadows
// decorators outside the module: without the decorator, dig hands Module's decorated T to
// the named pool.
func untagged[T any](tag fx.Annotation) fx.Option {
	same := fx.Annotate(func(v T) T { return v }, tag)
	return fx.Options(fx.Provide(same, fx.Private), fx.Decorate(same))
}

// These are private in the module of a named pool.
type (
	namedStopping struct{ *stopping }
	namedPassword struct{ PasswordSource }
	namedDB       struct{ *DB }
)

// namedStoppingOf returns the stop of the application that Module shares with all pools.
// Without Module each named pool has its own.
func namedStoppingOf(p struct {
	fx.In
	Shared *stopping `optional:"true"`
}) namedStopping {
	if p.Shared == nil {
		p.Shared = &stopping{}
	}
	return namedStopping{p.Shared}
}

func provideNamed(p struct {
	fx.In
	Lifecycle     fx.Lifecycle
	Stopping      namedStopping
	Config        Config
	Password      namedPassword
	Swap          graph.Swap[Config, *DB] `optional:"true"`
	Contributions graph.Contributions
}) (namedDB, error) {
	name := string(p.Contributions.Pool)
	p.Config.pool = name // opts may have replaced the Config
	db, err := params{Lifecycle: p.Lifecycle, Stopping: p.Stopping.stopping, Config: p.Config,
		Password: p.Password.PasswordSource, Swap: p.Swap, Contributions: p.Contributions}.
		open(fmt.Sprintf("fxdb.ModuleNamed(%q)", name))
	return namedDB{db}, err
}

// ConfigFromEnvNamed is [ConfigFromEnv] for a pool of [ModuleNamed]. ConfigFromEnvNamed
// reads the variables whose names begin with the pool's name, such as
// REPORTING_DATABASE_URL, and fails with a [*ConfigError] for a name that ModuleNamed
// refuses.
func ConfigFromEnvNamed(name string) (Config, error) {
	if err := checkPoolName("ConfigFromEnvNamed", name); err != nil {
		return Config{}, err
	}
	return configFromEnv(name)
}

var poolName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

// checkPoolName refuses a name that no environment variable can begin with. call is the function
// that got the name.
func checkPoolName(call, name string) error {
	if poolName.MatchString(name) {
		return nil
	}
	return &ConfigError{Setting: call, Reason: fmt.Sprintf(
		"%q can't be the name of a pool: use up to 30 lower-case letters, digits and underscores, starting with a letter", name)}
}

// settingsPrefix returns the prefix of the pool's environment variables.
func settingsPrefix(pool string) string {
	if pool == "" {
		return ""
	}
	return strings.ToUpper(pool) + "_"
}

// poolSettings names the settings for the fields of lifecycle.Config.
func poolSettings(pool string) map[string]string {
	prefix := settingsPrefix(pool)
	return map[string]string{
		"MaxConns": prefix + "DB_POOL_MAX", "Callers": prefix + "DB_CALL_SITES=true", "Nested": prefix + "DB_NESTED_ACQUIRE=strict",
		"Replicas": prefix + "DB_REPLICAS_OF_APP", "SiblingConns": prefix + "DB_DEDICATED", "Pooler": prefix + "DB_POOLER=transaction",
		"TenantMaxFraction": prefix + "DB_TENANT_MAX_FRACTION", "Sessions": prefix + "DB_SESSION_CHECK",
	}
}

var settingName = regexp.MustCompile(`\b(DB_[A-Z_]+|DATABASE_URL)\b`)

// prefixed puts the pool's prefix before each setting in the *ConfigErrors of err.
func prefixed(prefix string, err error) error {
	if prefix == "" || err == nil {
		return err
	}
	for _, e := range configErrors(err) {
		e.Setting = settingName.ReplaceAllString(e.Setting, prefix+"$1")
		e.Reason = settingName.ReplaceAllString(e.Reason, prefix+"$1")
	}
	return err
}
