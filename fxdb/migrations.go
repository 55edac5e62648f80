package fxdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/internal/migrate"
)

// MigrationOption changes how the start applies a source of migrations. MigrationOption is
// for [Migrations], [WithMigrations] and testkit.Migrations. See [After].
type MigrationOption interface{ migrationOption() }

// after is the MigrationOption of After, and a [migrate.SourceOption].
type after []string

func (after) migrationOption() {}

func (a after) Apply(s *migrate.Source) { s.After = append(s.After, a...) }

// After names the sources that the start applies before this source, because migrations of
// this source use objects of the named sources. An unknown name or a circle fails the
// build of the graph, with an error that names the order.
func After(sources ...string) MigrationOption {
	return after(sources)
}

// Migrations contributes goose SQL migrations. The start applies the migrations if
// DB_MIGRATE is true. source is the migrations' namespace: each source has its own version
// table, onepool.<source>_versions. The start applies sources in the order of their names,
// but after the sources that [After] names. fsys holds *.sql files at its root or one
// folder below. The build of the graph fails for a bad name, a duplicate name, a source
// without a file, and a *.sql file whose name goose would skip.
//
// The start applies each source on a separate session with an advisory lock: settings of
// the migrations (search_path, role) end with the session. Replicas that start together
// take turns. A migration in a transaction runs under DB_MIGRATE_LOCK_TIMEOUT_MS. A
// migration with "-- +goose NO TRANSACTION" waits for locks without limit. The start's
// time bounds both.
//
// Inside [ModuleNamed] the migrations belong to the named pool, else to the pool of
// [Module].
func Migrations(source string, fsys fs.FS, opts ...MigrationOption) fx.Option {
	shared := migrate.NewSource(source, fsys, opts)
	return fx.Provide(fx.Annotate(func(of graph.Pool) migrate.Source {
		s := shared // several applications may take this option at once
		s.Pool = string(of)
		return s
	}, fx.ParamTags(`optional:"true"`), fx.ResultTags(migrate.Group)))
}

// WithMigrations is [Migrations] for [Open]. The start applies the migrations if
// Config.Migrate is set.
func WithMigrations(source string, fsys fs.FS, opts ...MigrationOption) Option {
	return option(func(o *options) { o.sources = append(o.sources, migrate.NewSource(source, fsys, opts)) })
}

// migrator applies the sources' migrations at each attempt to start.
type migrator struct {
	cc      *pgx.ConnConfig // nil: the pool's
	setting string          // that gave cc
	lock    time.Duration   // DB_MIGRATE_LOCK_TIMEOUT_MS
	log     *zap.Logger
	sources []migrate.Source
	opts    []migrate.Option
	lost    map[string]bool // migrations whose session was lost in an attempt before
}

// newMigrator connects as DB_MIGRATE_URL says, or as the pool does.
func newMigrator(cfg Config, password func(context.Context, *pgx.ConnConfig) error, log *zap.Logger, sources []migrate.Source) (*migrator, error) {
	m := &migrator{log: log, lock: cfg.MigrateLockTimeout, sources: sources, lost: make(map[string]bool)}
	if cfg.LockTimeout != LeftToServer {
		m.opts = append(m.opts, migrate.LockTimeout(cfg.LockTimeout))
	}
	if cfg.MigrateURL == "" {
		m.opts = append(m.opts, migrate.BeforeConnect(password))
		return m, nil
	}
	mc, err := cfg.migrateConfig()
	if err != nil {
		return nil, err
	}
	m.cc, m.setting = mc.ConnConfig, settingsPrefix(cfg.pool)+"DB_MIGRATE_URL"
	if cfg.Migrate {
		warnOfUnverified(log, "DB_MIGRATE_URL", m.cc)
	}
	return m, nil
}

// up applies the migrations in one attempt to start. A later attempt retries a migration that lost its session,
// because the server may have gone away. The second loss is the migration's own doing. prefer
// puts silent hosts after the hosts that answer.
func (m *migrator) up(ctx context.Context, pool *pgx.ConnConfig, prefer func(context.Context, *pgx.ConnConfig)) error {
	cc := cmp.Or(m.cc, pool).Copy() // the pool keeps its own
	prefer(ctx, cc)
	if m.lock != 0 {
		cc.RuntimeParams["lock_timeout"] = milliseconds(m.lock)
	}
	err := migrate.Up(ctx, cc, m.log, m.sources, m.opts...)
	if err == nil {
		return nil
	}
	if m.setting != "" && settingsToBlame(err) != "" {
		err = &settingError{err, m.setting}
	}
	err = fmt.Errorf("fxdb: %w", err)
	var failed *migrate.Error
	if errors.As(err, &failed) && failed.Lost && failed.File != "" {
		name := failed.Source + "/" + failed.File
		if m.lost[name] {
			return finalError{fmt.Errorf("%w (the session was lost in this migration before)", err)}
		}
		m.lost[name] = true
	}
	return err
}

// finalError is a failure of the start that a retry would only repeat.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final implements lifecycle's check for a failure without a retry.
func (finalError) Final() bool { return true }
