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

// ModuleNamed provides the pool of a further database to an fx application. Its
// settings are those of [ConfigFromEnv] with the name in front: the pool "reporting" reads
// REPORTING_DATABASE_URL, REPORTING_DB_POOL_MAX and so on, and no variable without the
// prefix. Two pools share no setting. One of the settings must name the database,
// for libpq's variables alone do not: they mean Module's.
//
// opts are what belongs to the pool. Inside them *DB, *pgxpool.Pool, *lifecycle.Monitor
// and Config are this pool's, so clients, fxdbsql.Module and the modules of others need
// no change to use it, and Migrations and VerifyOptions are for its database. A *sql.DB
// from outside is an error there, for it is on another database:
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
// Outside of opts the four have the name tag `name:"reporting"`; such a *DB is
// nobody's client yet, so call [DB.Named] on it. Change the configuration with fx.Decorate or
// fx.Replace(Config{...}) in opts. The pool asks the [PasswordSource] with the name tag,
// and not that of Module. Loggers and tracers are those of all pools.
//
// An application without Module may hold pools of ModuleNamed, beside a *pgxpool.Pool of
// its own for example. Only hooks that were appended inside opts are watched then,
// so that a stop that hangs in another hook does not take the drain's time.
//
// The name is up to 30 lower-case letters, digits and underscores, and starts with a
// letter. Another fails the application with a *PoolNameError.
func ModuleNamed(name string, opts ...fx.Option) fx.Option {
	if err := checkPoolName(name); err != nil {
		return fx.Error(fmt.Errorf("fxdb.ModuleNamed: %w", err))
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

// untagged gives a module the tagged T as its untagged one. The decorator comes before
// those outside of the module: dig would else take what a decorator made of Module's T.
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

// namedStoppingOf is what all pools of an application share, if Module is there to share it.
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
	p.Config.pool = name // opts may have replaced it
	db, err := params{Lifecycle: p.Lifecycle, Stopping: p.Stopping.stopping, Config: p.Config,
		Password: p.Password.PasswordSource, Swap: p.Swap, Contributions: p.Contributions}.
		open(fmt.Sprintf("fxdb.ModuleNamed(%q)", name))
	return namedDB{db}, err
}

// ConfigFromEnvNamed is [ConfigFromEnv] for the pool of [ModuleNamed] with this name: it
// reads the variables whose names begin with the pool's, as in REPORTING_DATABASE_URL. It
// fails with a *PoolNameError for a name that ModuleNamed refuses.
func ConfigFromEnvNamed(name string) (Config, error) {
	if err := checkPoolName(name); err != nil {
		return Config{}, fmt.Errorf("fxdb.ConfigFromEnvNamed: %w", err)
	}
	return configFromEnv(name)
}

// PoolNameError refuses a name that variables can't begin with.
type PoolNameError struct{ Name string }

// Error says what a name looks like.
func (e *PoolNameError) Error() string {
	return fmt.Sprintf("%q can't be the name of a pool: use up to 30 lower-case letters, digits and underscores, starting with a letter", e.Name)
}

var poolName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

func checkPoolName(name string) error {
	if poolName.MatchString(name) {
		return nil
	}
	return &PoolNameError{name}
}

// settingsPrefix is what the variables of a pool begin with.
func settingsPrefix(pool string) string {
	if pool == "" {
		return ""
	}
	return strings.ToUpper(pool) + "_"
}

var settingName = regexp.MustCompile(`\b(DB_[A-Z_]+|DATABASE_URL)\b`)

// prefixed names the settings in the *ConfigErrors that err holds as those of one pool.
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
