package testkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/lifecycle"
)

// Option changes the database or the pool of a single test.
type Option func(*options)

type options struct {
	server     string
	extensions []string
	sources    []migrate.Source
	config     []func(*fxdb.Config)
}

// Extension has the server's administrator create an extension in the schema public, before
// testkit applies the migrations. Use Extension if a database's owner may not create the
// extension. If the server does not have the extension, the test fails.
func Extension(name string) Option {
	return func(o *options) { o.extensions = append(o.extensions, name) }
}

// Migrations names the migrations of a test without a graph, with the options of
// fxdb.Migrations. [Swap] applies the migrations of Migrations besides the graph's.
func Migrations(source string, fsys fs.FS, opts ...fxdb.MigrationOption) Option {
	return contributed(migrate.NewSource(source, fsys, opts))
}

func contributed(s migrate.Source) Option {
	return func(o *options) { o.sources = append(o.sources, s) }
}

// Config changes the pool's configuration, to a smaller pool for example. Config can't change
// the database. The pool of a test has SessionCheck, and the pool of a benchmark has not, unless
// fn changes the field.
func Config(fn func(*fxdb.Config)) Option {
	return func(o *options) { o.config = append(o.config, fn) }
}

// The defaults of a test's pool, for Config to change: few connections, because tests run in
// parallel, and a short drain of the connections that a test did not give back.
const (
	poolMax      = 10
	drainTimeout = 2 * time.Second
)

// databases holds the database of each pool of testkit.
var databases sync.Map // *pgxpool.Pool -> database

func databaseOf(db *fxdb.DB) (database, bool) {
	d, ok := databases.Load(db.Pool())
	if !ok {
		return database{}, false
	}
	return d.(database), true
}

// DB returns a pool on a migrated database of the test's own, connected as the restricted
// role. The end of the test closes the pool, and testkit drops the database in the
// background. A test fails if the test did not give all connections back.
//
// A failed test keeps the database for a day and logs the connection string. If testkit gets
// no server, the test fails: DB never skips a test.
func DB(t testing.TB, opts ...Option) *fxdb.DB {
	t.Helper()
	db, err := open(t, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return db
}

// Pool is [DB] for code that takes a *pgxpool.Pool.
func Pool(t testing.TB, opts ...Option) *pgxpool.Pool {
	t.Helper()
	return DB(t, opts...).Pool()
}

func open(t testing.TB, opts []Option) (*fxdb.DB, error) {
	d, err := planned(t, opts)
	if err != nil {
		return nil, err
	}
	if ready, ok := d.server.ahead.takeOpen(d.template, d.config); ok {
		d.use(t, ready.database)
		d.keep(t, ready.db, ready.log)
		return ready.db, nil
	}
	if err := d.take(t); err != nil {
		return nil, err
	}
	return d.open(t)
}

// open opens the test's pool on the database.
func (d database) open(t testing.TB) (*fxdb.DB, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	log := &testLog{t: t}
	db, err := openPoolOn(ctx, d.config, log)
	if err != nil {
		log.give(nil)
		return nil, fmt.Errorf("testkit: %w", d.server.crowded(err))
	}
	d.keep(t, db, log)
	return db, nil
}

func openPoolOn(ctx context.Context, config fxdb.Config, log *testLog) (*fxdb.DB, error) {
	return fxdb.Open(ctx, config, fxdb.WithCallSites(), fxdb.WithTracer(recorder{}), fxdb.WithLogger(log.logger()))
}

// crowded adds advice to the error of a server without a free connection.
func (s *server) crowded(err error) error {
	if !hasCode(err, tooManyConnections) {
		return err
	}
	return fmt.Errorf("%w; the server's max_connections is %d and the tests that run at the same time take all: lower go test's -p or -parallel, or PoolMax by testkit.Config", err, s.limit)
}

// database is the database of a single test.
type database struct {
	server         *server
	name, template string
	config         fxdb.Config // of a pool on the database
}

// newDatabase takes a clone of the migrated template. The end of the test disposes of the
// clone.
func newDatabase(t testing.TB, opts []Option) (database, error) {
	d, err := planned(t, opts)
	if err != nil {
		return database{}, err
	}
	err = d.take(t)
	return d, err
}

// planned returns the template and the configuration of a test's database, without a database.
func planned(t testing.TB, opts []Option) (database, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	sources, err := migrate.Check(o.sources)
	if err != nil {
		return database{}, fmt.Errorf("testkit: %w", err)
	}
	s, err := connectTo(o.server)
	if err != nil {
		return database{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	template, err := s.template(ctx, o.extensions, sources)
	if err != nil {
		return database{}, fmt.Errorf("testkit: %w", s.crowded(err))
	}
	// If parallel tests hold all connections of the server, the pool waits for a connection.
	_, benchmark := t.(*testing.B) // measures what production does by default
	cfg := fxdb.Config{PoolMin: 1, PoolMax: poolMax, DrainTimeout: drainTimeout, Start: "wait", SessionCheck: !benchmark}
	for _, change := range o.config {
		change(&cfg)
	}
	return database{server: s, template: template, config: cfg}, nil
}

// take takes a clone of the template.
func (d *database) take(t testing.TB) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	name, err := d.server.ahead.take(ctx, d.template)
	if err != nil {
		return fmt.Errorf("testkit: make a database: %w", d.server.crowded(err))
	}
	d.use(t, name)
	return nil
}

// use gives the test a database. Cleanups run last in, first out: dispose runs after the pool
// is closed.
func (d *database) use(t testing.TB, name string) {
	t.Cleanup(func() { d.server.dispose(t, name) })
	d.name, d.config = name, d.server.on(name, d.config)
}

// on returns the configuration of a pool on a database. The URL wins over every other field: on
// sets the URL alone.
func (s *server) on(name string, config fxdb.Config) fxdb.Config {
	config.URL = s.url(devdb.RoleApp, name)
	config.Host, config.Name, config.User, config.Password, config.PasswordFile = "", "", "", "", ""
	config.Migrate, config.MigrateURL = false, ""
	return config
}

// keep closes the pool with the test. log takes the pool's warnings.
func (d database) keep(t testing.TB, db *fxdb.DB, log *testLog) {
	log.give(t)
	pool := db.Pool()
	databases.Store(pool, d)
	t.Cleanup(func() {
		databases.Delete(pool)
		closeDB(t, db)
		log.give(nil)
	})
}

// closeDB fails a test that did not give all connections back.
func closeDB(t testing.TB, db *fxdb.DB) {
	err := db.Close(context.Background())
	var cut *lifecycle.DrainError
	if errors.As(err, &cut) {
		t.Errorf("testkit: the test did not give back all connections (close the rows, scan the row, commit or roll back, release): %v", err)
	}
}

// dispose has a goroutine drop the database of a passed test, and keeps the database of a
// failed test.
func (s *server) dispose(t testing.TB, name string) {
	if !t.Failed() {
		s.ahead.done(name)
		return
	}
	s.ahead.done("")
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err := s.admin.do(ctx, func(conn *pgx.Conn) error { return markUsed(ctx, conn, name) })
	if err != nil {
		t.Logf("testkit: mark database %s as kept: %v", name, err)
	}
	if s.throwaway {
		t.Logf("testkit: database kept until a few seconds after the last test, when the throwaway server ends (set %s to a server of your own to keep the database for a day): %s",
			envURL, s.url(devdb.RoleOwner, name))
		return
	}
	t.Logf("testkit: database kept for a day: %s", s.url(devdb.RoleOwner, name))
}
