package fxdb_test

import (
	"context"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func migration(text string) fs.FS {
	return fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\n" + text)}}
}

// ownerURL is a migrated database's connection string as its owner.
func ownerURL(t *testing.T) (string, *fxdb.DB) {
	t.Helper()
	db := testkit.DB(t)
	return testkit.OwnerPool(t, db).Config().ConnString(), db
}

func TestASourceIsAppliedAfterThoseItNames(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	owner, kept := ownerURL(t)
	users := migration("create table users (id int primary key);\n")
	orders := migration("create table orders (of int references users);\n")
	cfg := fxdb.Config{URL: kept.Pool().Config().ConnString(), Migrate: true, MigrateURL: owner, PoolMax: 2}

	_, err := start(t, cfg, fxdb.WithMigrations("orders", orders), fxdb.WithMigrations("users", users))
	require.ErrorContains(t, err, "the order of the sources is orders, users")
	_, err = start(t, cfg, fxdb.WithMigrations("orders", orders, fxdb.After("users")), fxdb.WithMigrations("users", users))
	require.NoError(t, err)

	// In a graph, and in tests of it.
	var db *fxdb.DB
	app := fx.New(fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d"}), fx.NopLogger, fx.Populate(&db),
		fxdb.Migrations("orders", orders, fxdb.After("customers")), fxdb.Migrations("users", users))
	require.ErrorContains(t, app.Err(), `"orders" comes after "customers"`)
	testkit.DB(t, testkit.Migrations("orders", orders, fxdb.After("users")), testkit.Migrations("users", users))
	app = fx.New(fxdb.Module, fx.NopLogger, testkit.Swap(t, testkit.Migrations("users", users)), fx.Populate(&db),
		fxdb.Migrations("orders", orders, fxdb.After("users")))
	require.NoError(t, app.Err())
	var exists bool
	require.NoError(t, db.QueryRow(t.Context(), "select to_regclass('orders') is not null").Scan(&exists))
	require.True(t, exists)
}

// late is a server that can't be reached until it is opened.
type late struct {
	*pgfault.Server
	dir string
}

func newLate(t *testing.T) late { return late{pgfault.Start(t), t.TempDir()} }

func (l late) url(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(l.URL())
	require.NoError(t, err)
	params := u.Query()
	params.Set("host", l.dir)
	params.Set("port", "5432")
	u.RawQuery = params.Encode()
	return u.String()
}

func (l late) open(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(l.dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go l.Forward(ln)
}

// A failing migration has side effects, and would have them again at each attempt.
func TestAFailingMigrationRunsOnceUnderDegrade(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newLate(t)
	core, logs := observer.New(zap.InfoLevel)
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "create table effects (n int)")
		require.NoError(t, err)
	})
	db := startApp(t, fxdb.Config{URL: s.url(t), Start: fxdb.StartDegrade, Migrate: true, PoolMax: 2},
		fx.Supply(zap.New(core)),
		fxdb.Migrations("bad", migration("-- +goose NO TRANSACTION\ninsert into effects values (1);\nselect 1/0;\n")))
	s.open(t)
	said := func() bool { return logs.FilterMessageSnippet("pool gives up the start").Len() > 0 }
	require.Eventually(t, said, time.Minute, time.Millisecond)
	require.Equal(t, 1, logs.FilterMessageSnippet("pool gives up the start").Len())
	s.Admin(t, func(c *pgx.Conn) {
		var n int
		require.NoError(t, c.QueryRow(t.Context(), "select count(*) from effects").Scan(&n))
		require.Equal(t, 1, n)
	})
	err := db.Ping(t.Context())
	require.ErrorIs(t, err, fxdb.ErrNotStarted)
	require.ErrorContains(t, err, `migrations "bad": 00001_a.sql, statement at line 4: ERROR: division by zero`)
	require.Contains(t, db.Monitor().Health(t.Context()).Error, "failed for good")
}

// The session of a migration may be lost with its server, once. The second loss is the
// migration's own doing.
func TestAMigrationThatEndsItsSessionIsTriedTwice(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	owner, kept := ownerURL(t)
	_, err := testkit.OwnerPool(t, kept).Exec(t.Context(), "create sequence attempts")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = fxdb.Open(ctx, fxdb.Config{URL: owner, Migrate: true, Start: fxdb.StartWait, PoolMax: 2},
		fxdb.WithMigrations("crash", migration("select nextval('attempts');\n"+
			"select pg_terminate_backend(pg_backend_pid());\n")))
	require.ErrorContains(t, err, "the session was lost in this migration before")
	require.ErrorContains(t, err, `migrations "crash": 00001_a.sql`)
	require.NoError(t, ctx.Err())
	var n int
	require.NoError(t, testkit.OwnerPool(t, kept).QueryRow(t.Context(), "select last_value from attempts").Scan(&n))
	require.Equal(t, 2, n)
}

func TestMigrationsInATransactionHaveALockTimeout(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "internal/migrate's TestLockTimeoutHoldsInTransactionsOnly")
	owner, kept := ownerURL(t)
	pool := testkit.OwnerPool(t, kept)
	const lock = "select current_setting('lock_timeout') as lock;\n"
	for name, c := range map[string]struct {
		change func(*fxdb.Config)
		other  bool   // with DB_MIGRATE_URL
		params string // of DB_MIGRATE_URL
		want   string
	}{
		"the pool's":               {func(c *fxdb.Config) { c.LockTimeout = 7 * time.Second }, false, "", "7s"},
		"none, as the pool":        {func(c *fxdb.Config) { c.LockTimeout = -1 }, false, "", "0"},
		"the setting":              {func(c *fxdb.Config) { c.MigrateLockTimeout = 3 * time.Second }, false, "", "3s"},
		"none, by the setting":     {func(c *fxdb.Config) { c.MigrateLockTimeout = -1 }, false, "", "0"},
		"another role, the pool's": {func(c *fxdb.Config) { c.LockTimeout = 7 * time.Second }, true, "", "7s"},
		"another role, its own":    {func(*fxdb.Config) {}, true, "&lock_timeout=2000", "2s"},
		"another role, by setting": {func(c *fxdb.Config) { c.MigrateLockTimeout = 3 * time.Second }, true, "&lock_timeout=2000", "3s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pool.Exec(t.Context(), "drop schema if exists onepool cascade; drop table if exists limits")
			require.NoError(t, err)
			cfg := fxdb.Config{URL: owner, Migrate: true, PoolMax: 2}
			if c.other {
				cfg.MigrateURL = owner + c.params
			}
			c.change(&cfg)
			db, err := fxdb.Open(t.Context(), cfg, fxdb.WithMigrations("limits", fstest.MapFS{
				"00001_in.sql":  {Data: []byte("-- +goose Up\ncreate table limits as " + lock)},
				"00002_out.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\ninsert into limits " + lock)},
			}))
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close(context.Background())) }()
			rows, err := db.Query(t.Context(), "select lock from limits")
			require.NoError(t, err)
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Equal(t, []string{c.want, "0"}, got)
			if cfg.LockTimeout == 0 {
				require.Equal(t, "10s", settingOf(t, db, t.Context(), "lock_timeout"), "the pool keeps its own")
			}
		})
	}
}

func TestTheLockTimeoutOfMigrationsIsASetting(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 0, "1500": 1500 * time.Millisecond, "0": -1} {
		setenv(t, map[string]string{"DB_MIGRATE_LOCK_TIMEOUT_MS": value})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, want, cfg.MigrateLockTimeout, value)
	}
}

func TestOneOptionOfMigrationsServesManyApplications(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	shared := fx.Options(fxdb.Migrations("notes", notes))
	var all sync.WaitGroup
	for range 32 { // the race detector watches
		all.Go(func() {
			cfg := fxdb.Config{URL: "postgres://nobody@localhost:1/none"}
			if err := fx.New(fx.NopLogger, fxdb.Module, shared, fx.Replace(cfg), fx.Invoke(func(*fxdb.DB) {})).Err(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
