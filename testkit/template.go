package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/migrate"
)

// template is a migrated database for the server to clone.
type template struct {
	once sync.Once
	name string
	err  error
}

// template returns the name of a database with the extensions and the migrations
// applied. Equal calls share a template, in all processes on the same server.
func (s *server) template(ctx context.Context, extensions []string, sources []migrate.Source) (string, error) {
	key, err := fingerprint(extensions, sources)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	t, ok := s.templates[key]
	if !ok {
		t = &template{name: templatePrefix + key}
		s.templates[key] = t
	}
	s.mu.Unlock()
	t.once.Do(func() { t.err = s.build(ctx, t.name, extensions, sources) })
	return t.name, t.err
}

func fingerprint(extensions []string, sources []migrate.Source) (string, error) {
	h := sha256.New()
	for _, name := range extensions {
		fmt.Fprintf(h, "extension %q\n", name)
	}
	for _, s := range sources {
		fmt.Fprintf(h, "source %q\n", s.Name)
		err := fs.WalkDir(s.FS, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(s.FS, path)
			fmt.Fprintf(h, "%q %d\n%s", path, len(b), b)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("read migrations %q: %w", s.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// build makes the template under a lock of the template's name. The database gets the name
// only when the database is whole. Until then the database has a name of the run: if the
// process is killed, the sweep of another run drops the database.
func (s *server) build(ctx context.Context, name string, extensions []string, sources []migrate.Source) error {
	return s.admin.do(ctx, func(conn *pgx.Conn) error {
		var key int64
		if err := conn.QueryRow(ctx, "select hashtextextended($1, 0)", name).Scan(&key); err != nil {
			return err
		}
		if err := migrate.Lock(ctx, conn, key, nil); err != nil {
			return fmt.Errorf("wait for another process to build the template: %w", err)
		}
		defer func() {
			_, _ = conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", key)
		}()
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
			return err
		}
		if exists {
			return markUsed(ctx, conn, name)
		}
		return s.buildLocked(ctx, conn, name, extensions, sources)
	})
}

func (s *server) buildLocked(ctx context.Context, conn *pgx.Conn, name string, extensions []string, sources []migrate.Source) error {
	building := s.ahead.newName()
	if _, err := conn.Exec(ctx, "create database "+building+" owner "+devdb.RoleOwner+s.strategy()); err != nil {
		return fmt.Errorf("build the template: %w", err)
	}
	if err := s.setUp(ctx, building, extensions, sources); err != nil {
		return errors.Join(err, s.drop(ctx, building))
	}
	if err := markUsed(ctx, conn, building); err != nil {
		return fmt.Errorf("build the template: %w", err)
	}
	awaitNoSession(ctx, conn, building)
	for _, sql := range []string{
		"alter database " + building + " with is_template true allow_connections false",
		"alter database " + building + " rename to " + name,
	} {
		if err := retryInUse(ctx, func() error { _, err := conn.Exec(ctx, sql); return err }); err != nil {
			return fmt.Errorf("build the template: %w", err)
		}
	}
	return nil
}

func (s *server) setUp(ctx context.Context, database string, extensions []string, sources []migrate.Source) error {
	admin, err := connectPatiently(ctx, s.admin.to(database))
	if err != nil {
		return err
	}
	_, err = admin.Exec(ctx, strings.ReplaceAll(devdb.Privileges, "\n", ";\n"))
	for _, name := range extensions {
		if err != nil {
			break
		}
		if _, err = admin.Exec(ctx, "create extension if not exists "+pgx.Identifier{name}.Sanitize()); err != nil {
			err = fmt.Errorf("create extension %q (install it on the server): %w", name, err)
		}
	}
	if err = errors.Join(err, admin.Close(ctx)); err != nil {
		return err
	}
	owner, err := pgx.ParseConfig(s.url(devdb.RoleOwner, database))
	if err != nil {
		return err
	}
	if err := migrate.Up(ctx, owner, zap.NewNop(), sources); err != nil {
		return fmt.Errorf("migrate: %w", adviseExtension(err))
	}
	// The first session of a database writes a cache of the catalog into the database's
	// folder. A copy of the folder has the cache too: each test's first connection opens
	// faster.
	first, err := connectPatiently(ctx, s.admin.to(database))
	if err != nil {
		return err
	}
	return first.Close(ctx)
}

// adviseExtension names Extension if the server has refused the owner an extension.
func adviseExtension(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != notPermitted || pgErr.File != "extension.c" {
		return err
	}
	name := "name"
	if m := quoted.FindStringSubmatch(pgErr.Message); m != nil {
		name = m[1]
	}
	return fmt.Errorf("%w; the owner of a database may not create the extension: have the administrator create the extension first, with testkit.Extension(%q)", err, name)
}

var quoted = regexp.MustCompile(`"([^"]+)"`)

// retryInUse tries at most three times while the server reports a session in the database
// (55006). The server itself waits up to 5 s for the session's end in each try: three tries
// outlast the end of a session.
func retryInUse(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == 3 || ctx.Err() != nil || !hasCode(err, objectInUse) {
			return err
		}
	}
}
