package testkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/lifecycle"
)

// Option changes the database or the pool of one test.
type Option func(*options)

type options struct {
	extensions []string
	sources    []migrate.Source
	config     []func(*fxdb.Config)
}

// Extension has the server's administrator create an extension before the
// migrations are applied, in the schema public: for one that a database's owner may
// not create. The test fails where it is not installed on the server.
func Extension(name string) Option {
	return func(o *options) { o.extensions = append(o.extensions, name) }
}

// Migrations says what to apply where there is no graph to ask, with the options of
// fxdb.Migrations. Swap applies what the graph contributes, and these.
func Migrations(source string, fsys fs.FS, opts ...fxdb.MigrationOption) Option {
	s := migrate.Source{Name: source, FS: fsys}
	for _, opt := range opts {
		opt(&s)
	}
	return contributed(s)
}

func contributed(s migrate.Source) Option {
	return func(o *options) { o.sources = append(o.sources, s) }
}

// Config changes the pool's configuration, to a smaller pool for example. The
// database itself can't be changed by it.
func Config(fn func(*fxdb.Config)) Option {
	return func(o *options) { o.config = append(o.config, fn) }
}

// What a test's pool has unless Config says otherwise: few connections, since
// tests run in parallel, and a short patience for what a test leaves behind.
const (
	poolMax      = 10
	drainTimeout = 2 * time.Second
)

// databases knows which database a pool handed out belongs to.
var databases sync.Map // *pgxpool.Pool -> database name

var count atomic.Int64

// DB returns a pool on a database of this test's own, migrated, connected as
// the restricted role. It is closed and dropped when the test ends; connections
// that the test did not give back fail it. A test that failed keeps its
// database and logs its connection string. Where no server can be had the test
// fails: it never skips.
func DB(t testing.TB, opts ...Option) *fxdb.DB {
	t.Helper()
	db, err := open(t, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return db
}

// Pool is DB for code that takes a *pgxpool.Pool.
func Pool(t testing.TB, opts ...Option) *pgxpool.Pool {
	t.Helper()
	return DB(t, opts...).Pool()
}

func open(t testing.TB, opts []Option) (*fxdb.DB, error) {
	d, err := newDatabase(t, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	db, err := fxdb.Open(ctx, d.config, fxdb.WithCallSites())
	if err != nil {
		return nil, fmt.Errorf("testkit: %w", err)
	}
	d.keep(t, db)
	return db, nil
}

// database is a database of a test's own.
type database struct {
	name, template string
	config         fxdb.Config // of a pool on it
}

// newDatabase clones the migrated template. The database is dropped with the test.
func newDatabase(t testing.TB, opts []Option) (database, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	sources, err := migrate.Check(o.sources)
	if err != nil {
		return database{}, fmt.Errorf("testkit: %w", err)
	}
	s, err := connect()
	if err != nil {
		return database{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	template, err := s.template(ctx, o.extensions, sources)
	if err != nil {
		return database{}, fmt.Errorf("testkit: %w", err)
	}
	name := fmt.Sprintf("onepool_test_%s_%d", s.run, count.Add(1))
	if err := s.clone(ctx, name, template); err != nil {
		return database{}, fmt.Errorf("testkit: make a database: %w", err)
	}
	// Cleanups run last in, first out: this one after the pool is closed.
	t.Cleanup(func() { s.dispose(t, name) })

	cfg := fxdb.Config{PoolMin: 1, PoolMax: poolMax, DrainTimeout: drainTimeout}
	for _, change := range o.config {
		change(&cfg)
	}
	// The URL wins over every other field, so it must come last and alone.
	cfg.URL = s.url(devdb.RoleApp, name)
	cfg.Host, cfg.Name, cfg.User, cfg.Password, cfg.PasswordFile = "", "", "", "", ""
	cfg.Migrate, cfg.MigrateURL = false, ""
	return database{name, template, cfg}, nil
}

// keep closes the pool with the test.
func (d database) keep(t testing.TB, db *fxdb.DB) {
	pool := db.Pool()
	databases.Store(pool, d.name)
	t.Cleanup(func() {
		databases.Delete(pool)
		closeDB(t, db)
	})
}

// closeDB fails the test for what it did not give back.
func closeDB(t testing.TB, db *fxdb.DB) {
	err := db.Close(context.Background())
	var cut *lifecycle.DrainError
	if errors.As(err, &cut) {
		t.Errorf("testkit: the test did not give back all connections: %v", err)
	}
}

// dispose drops the database of a test that passed.
func (s *server) dispose(t testing.TB, name string) {
	if t.Failed() {
		t.Logf("testkit: database kept: %s", s.url(devdb.RoleOwner, name))
		if s.throwaway {
			t.Logf("testkit: it lives as long as the throwaway server: a few seconds after the last test. Set TEST_DATABASE_URL to a server of your own to keep it")
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := s.admin.Exec(ctx, "drop database if exists "+name+" with (force)"); err != nil {
		t.Logf("testkit: drop database %s: %v", name, err)
	}
}
