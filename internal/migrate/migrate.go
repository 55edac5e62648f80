package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
)

// Schema holds the version tables.
const Schema = "onepool"

// lockKey is the advisory lock that makes concurrent starts take turns. goose's
// own locker polls every few seconds; this one waits on the server.
const lockKey = int64(0x6f6e65706f6f6c) // "onepool"

// Source is a set of migrations with a version table of its own.
type Source struct {
	Name string
	FS   fs.FS
}

// Group is the fx value group of Sources.
const Group = `group:"onepool.migrations"`

// VersionTable returns the qualified name of the source's version table.
func (s Source) VersionTable() string { return Schema + "." + s.Name + "_versions" }

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,49}$`)

// Check returns the sources in the order in which they are applied, that of
// their names, or an error that names the source that can't be used.
func Check(sources []Source) ([]Source, error) {
	sorted := slices.Clone(sources)
	slices.SortFunc(sorted, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	for i, s := range sorted {
		if !validName.MatchString(s.Name) {
			return nil, fmt.Errorf("migrations %q: a source's name is lower-case letters, digits and underscores, at most 50, starting with a letter", s.Name)
		}
		if i > 0 && sorted[i-1].Name == s.Name {
			return nil, fmt.Errorf("migrations %q: two sources have this name", s.Name)
		}
		root, err := sqlRoot(s.FS)
		if err != nil {
			return nil, fmt.Errorf("migrations %q: %w", s.Name, err)
		}
		sorted[i].FS = root
	}
	return sorted, nil
}

// sqlRoot finds the folder with the SQL files: an embed.FS usually has them one
// level down, in the folder that was embedded.
func sqlRoot(fsys fs.FS) (fs.FS, error) {
	if fsys == nil {
		return nil, errors.New("the file system is nil")
	}
	dirs := []string{"."}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	for _, d := range dirs {
		files, err := fs.Glob(fsys, d+"/*.sql")
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			return fs.Sub(fsys, d)
		}
	}
	return nil, errors.New("no *.sql file at its root or one folder below")
}

// Up applies what is missing of every source. It connects as cc says, with a
// connection of its own and no statement timeout. A source with an applied migration
// whose text has changed is an ErrChanged, and nothing of it is applied.
func Up(ctx context.Context, cc *pgx.ConnConfig, log *zap.Logger, sources []Source) error {
	return run(ctx, cc, sources, func(ctx context.Context, conn *pgx.Conn, s Source, p *goose.Provider) error {
		if err := s.checkSums(ctx, conn, log, p); err != nil {
			return err
		}
		results, err := p.Up(ctx)
		for _, r := range results {
			log.Info("migration applied", zap.String("source", s.Name), zap.Int64("version", r.Source.Version),
				zap.String("file", r.Source.Path), zap.Duration("elapsed", r.Duration))
		}
		if err == nil && len(results) == 0 {
			return nil
		}
		return errors.Join(err, s.checkSums(ctx, conn, log, p)) // of a failed one too: some may be applied
	})
}

// Down takes every migration of every source back, the last source first.
func Down(ctx context.Context, cc *pgx.ConnConfig, sources []Source) error {
	sources = slices.Clone(sources)
	slices.Reverse(sources)
	return run(ctx, cc, sources, func(ctx context.Context, conn *pgx.Conn, s Source, p *goose.Provider) error {
		if _, err := p.DownTo(ctx, 0); err != nil {
			return err
		}
		return s.forgetSums(ctx, conn)
	})
}

func run(ctx context.Context, cc *pgx.ConnConfig, sources []Source, do func(context.Context, *pgx.Conn, Source, *goose.Provider) error) error {
	if len(sources) == 0 {
		return nil
	}
	cc = cc.Copy()
	cc.Tracer = nil
	// An index on a large table takes as long as it takes; ctx is the bound.
	cc.RuntimeParams["statement_timeout"] = "0"
	cc.RuntimeParams["idle_in_transaction_session_timeout"] = "0"

	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return fmt.Errorf("connect for the migrations: %w", err)
	}
	// Closing the session gives the lock back, whatever happened.
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lockKey); err != nil {
		return fmt.Errorf("wait for another process's migrations: %w", err)
	}
	// The role may have no right to create schemas where somebody else made this one.
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regnamespace($1) is not null", Schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := conn.Exec(ctx, "create schema if not exists "+Schema); err != nil {
			return fmt.Errorf("create schema %s for the version tables (connect as the owner with DB_MIGRATE_URL?): %w", Schema, err)
		}
	}

	db := sql.OpenDB(stdlib.GetConnector(*cc))
	defer db.Close()
	for _, s := range sources {
		p, err := goose.NewProvider(goose.DialectPostgres, db, s.FS,
			goose.WithTableName(s.VersionTable()), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
		if errors.Is(err, goose.ErrNoMigrations) {
			return fmt.Errorf("migrations %q: %w: files must be named like 00001_name.sql", s.Name, err)
		}
		if err != nil {
			return fmt.Errorf("migrations %q: %w", s.Name, err)
		}
		if err := do(ctx, conn, s, p); err != nil {
			return fmt.Errorf("migrations %q: %w", s.Name, err)
		}
	}
	return nil
}
