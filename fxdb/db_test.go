package fxdb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestAcquireTimeoutNamesTheHolders(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { one(c); c.ConnectionTimeout, c.NestedAcquire = 500*time.Millisecond, "off" }))
	tx, err := db.Named("hoarder").Begin(as(t, "acme"))
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "select 42")
	require.NoError(t, err)

	_, err = db.Named("victim").Exec(t.Context(), "select 1")
	var acquireErr *fxdb.AcquireError
	require.ErrorAs(t, err, &acquireErr)
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	require.Equal(t, "victim", acquireErr.Client)
	require.GreaterOrEqual(t, acquireErr.Waited, 500*time.Millisecond)
	require.Equal(t, 1, acquireErr.Max)
	require.Equal(t, 1, acquireErr.Active)
	require.Len(t, acquireErr.Holders, 1)
	require.Equal(t, "hoarder", acquireErr.Holders[0].Client)
	require.Equal(t, "acme", acquireErr.Holders[0].Tenant)
	require.Equal(t, "select 42", acquireErr.Holders[0].Query)
	for _, part := range []string{"victim", "hoarder for", "TestAcquireTimeoutNamesTheHolders", "DB_POOL_MAX", "1 of 1 in use"} {
		require.ErrorContains(t, err, part)
	}

	_, err = db.Pool().Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout, "the raw pool is bounded too")
	require.NotContains(t, err.Error(), "acme", "the error may reach another tenant")
	require.Contains(t, acquireErr.Holders[0].String(), `hoarder (tenant "acme")`)

	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err = db.Exec(ctx, "select 1")
	require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own deadline came first")
	require.NotErrorIs(t, err, fxdb.ErrAcquireTimeout)
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { one(c); c.QueueMax = 2; c.ConnectionTimeout = time.Hour }))
	conn, err := db.Named("holder").Acquire(t.Context())
	require.NoError(t, err)
	waited := make(chan error, 2)
	for range 2 {
		go func() {
			waited <- db.Named("waiter").InTx(context.Background(), pgx.TxOptions{}, func(pgx.Tx) error { return nil })
		}()
	}
	require.Eventually(t, func() bool { return db.Stats().Waiting == 2 }, patience, time.Millisecond)
	require.Contains(t, db.Stats().Clients, fxdb.ClientStats{Name: "waiter", Waiting: 2})

	var acquireErr *fxdb.AcquireError
	_, err = db.Named("waiter").Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrQueueFull)
	require.ErrorAs(t, err, &acquireErr)
	require.Equal(t, "holder", acquireErr.Holders[0].Client)
	require.Equal(t, 2, db.Stats().Waiting, "those who wait go on waiting")

	conn.Release()
	require.NoError(t, <-waited)
	require.NoError(t, <-waited)
	require.Zero(t, db.Stats().Waiting)
}

func TestAFullQueueTakesOneOfAClientThatHasNobodyThere(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for _, sharing := range []fxdb.SharingMode{fxdb.SharingOn, fxdb.SharingOff} {
		t.Run(string(sharing), func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, testkit.Config(func(c *fxdb.Config) {
				one(c)
				c.QueueMax, c.ConnectionTimeout, c.Sharing = 2, time.Hour, sharing
			}))
			conn, err := db.Named("holder").Acquire(t.Context())
			require.NoError(t, err)
			waited := make(chan error, 4)
			for _, use := range []func(context.Context) error{db.Named("flooder").Ping, db.Named("flooder").Ping, db.Named("calm").Ping, db.Pool().Ping} {
				before := db.Stats().Waiting
				go func() { waited <- use(context.Background()) }()
				require.Eventually(t, func() bool { return db.Stats().Waiting == before+1 || len(waited) > 0 }, patience, time.Millisecond)
			}
			require.Empty(t, waited)
			for _, use := range []func(context.Context) error{db.Named("flooder").Ping, db.Named("calm").Ping, db.Pool().Ping} {
				require.ErrorIs(t, use(t.Context()), fxdb.ErrQueueFull, "it has one there")
			}
			require.Equal(t, 4, db.Stats().Waiting)
			conn.Release()
			for range 4 {
				require.NoError(t, <-waited)
			}
			require.NoError(t, db.Ping(t.Context()))
		})
	}
}

// TestABurstOnAColdPoolIsNotRefused asks for as many connections as there may be while
// none is open: nobody waits for another's.
func TestABurstOnAColdPoolIsNotRefused(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for _, sharing := range []fxdb.SharingMode{fxdb.SharingOn, fxdb.SharingDryRun, fxdb.SharingOff} {
		t.Run(string(sharing), func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, poolOf(8, func(c *fxdb.Config) { c.PoolMin, c.QueueMax, c.Sharing = 0, 1, sharing }))
			got, ended := make(chan error, 8), make(chan struct{})
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					conn, err := db.Acquire(t.Context())
					got <- err
					<-ended
					if err == nil {
						conn.Release()
					}
				})
			}
			for range 8 {
				require.NoError(t, <-got)
			}
			ctx, cancel := context.WithCancel(t.Context())
			waits := make(chan error, 1)
			go func() { waits <- db.Ping(ctx) }()
			require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
			require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrQueueFull, "the pool is full now")
			cancel()
			require.ErrorIs(t, <-waits, context.Canceled)
			close(ended)
			all.Wait()
		})
	}
}

func TestInTxRunsAgainWhenTheServerGivesUp(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	_, err := db.Exec(t.Context(), "insert into notes.plain values (1, '0')")
	require.NoError(t, err)

	tries := 0
	require.NoError(t, db.InTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
		if tries++; tries == 1 {
			var body string
			if err := tx.QueryRow(t.Context(), "select body from notes.plain").Scan(&body); err != nil {
				return err
			}
			// Somebody else commits in between.
			if _, err := db.Exec(t.Context(), "update notes.plain set body = 'other'"); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), "update notes.plain set body = body || '+'")
		return err
	}))
	require.Equal(t, 2, tries)
	var body string
	require.NoError(t, db.QueryRow(t.Context(), "select body from notes.plain").Scan(&body))
	require.Equal(t, "other+", body)

	tries = 0
	err = db.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		tries++
		_, err := tx.Exec(t.Context(), "do $$ begin raise sqlstate '40P01'; end $$")
		return err
	})
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "40P01", pgErr.Code)
	require.Equal(t, 5, tries, "four retries are the budget")

	tries = 0
	require.Error(t, db.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		tries++
		_, err := tx.Exec(t.Context(), "select 1/0")
		return err
	}))
	require.Equal(t, 1, tries, "an error of the statement's own is not tried again")
}

func TestServerSideLimitsAreSet(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) {
		c.StatementTimeout, c.LockTimeout, c.IdleInTransactionTimeout = 1500*time.Millisecond, -1, 0
		c.ApplicationName = "limits"
	}))
	for name, want := range map[string]string{
		"statement_timeout": "1500ms", "lock_timeout": "0", "idle_in_transaction_session_timeout": "1min", "application_name": "limits",
	} {
		require.Equal(t, want, settingOf(t, db, t.Context(), name), name)
	}
}

func TestAClientsOwnTimeoutsHoldForItAlone(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one), testkit.Config(func(c *fxdb.Config) { c.ApplicationName = "shop" }))
	reports := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 50 * time.Millisecond, Lock: -1}))
	for name, want := range map[string]string{
		"statement_timeout": "50ms", "lock_timeout": "0", "idle_in_transaction_session_timeout": "1min", "application_name": "shop/reports",
	} {
		require.Equal(t, want, settingOf(t, reports, t.Context(), name), name)
		require.Equal(t, want, settingOf(t, reports, as(t, "acme"), name), name)
		if want != "1min" {
			require.NotEqual(t, want, settingOf(t, db, t.Context(), name), "it stayed on the connection")
		}
	}
	_, err := reports.Exec(t.Context(), "select pg_sleep(60)")
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "57014", pgErr.Code)
	err = reports.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select pg_sleep(60)")
		return err
	})
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "57014", pgErr.Code)
}

func TestTheServerShowsTheClient(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one), testkit.Config(func(c *fxdb.Config) { c.ApplicationName = "shop" }))
	require.Equal(t, "shop/orders", settingOf(t, db.Named("orders"), as(t, "acme"), "application_name"))
	require.Equal(t, "shop", settingOf(t, db, as(t, "acme"), "application_name"))
	require.Equal(t, "shop", settingOf(t, db.Named("orders"), t.Context(), "application_name"), "nothing to set, nothing sent")
}

func TestCopyFromOfAClientWithTimeouts(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t).Named("import", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: -1}))
	n, err := db.CopyFrom(t.Context(), pgx.Identifier{"notes", "plain"}, []string{"id", "body"},
		pgx.CopyFromRows([][]any{{1, "a"}, {2, "b"}}))
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

func TestModuleStartsWithoutAConsumerAndFailsWithAReason(t *testing.T) {
	t.Parallel()
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://u@127.0.0.1:1/d"}))
	require.NoError(t, app.Err())
	err := app.Start(t.Context())
	require.ErrorContains(t, err, "127.0.0.1:1/d")

	app = fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d", PoolMax: -1}))
	require.ErrorContains(t, app.Err(), "DB_POOL_MAX")
}

func TestStartModesReachThePool(t *testing.T) {
	t.Parallel()
	nowhere := fxdb.Config{URL: "postgres://u@127.0.0.1:1/d", Start: fxdb.StartWait}
	ctx, giveUp := context.WithCancel(within(t))
	defer giveUp()
	core, _ := observer.New(zap.WarnLevel)
	_, err := fxdb.Open(ctx, nowhere, fxdb.WithLogger(zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		if strings.Contains(e.Message, "retrying") {
			giveUp()
		}
		return nil
	}))))
	require.ErrorContains(t, err, "gave up after 1 attempts")

	ended, cancel := context.WithCancel(t.Context())
	cancel() // a server may run at the default address
	_, err = fxdb.Open(ended, fxdb.Config{})
	require.ErrorContains(t, err, "no setting names a database")

	nowhere.Start = fxdb.StartDegrade
	db := startApp(t, nowhere)
	require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrNotStarted)
	require.False(t, db.Monitor().Health(t.Context()).Ready)
}

func TestConfigIsChangedByDecorating(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	url := urlOf(t)
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Populate(&db),
		fx.Decorate(func() fxdb.Config { return fxdb.Config{URL: url, PoolMax: 3} }))
	app.RequireStart()
	defer app.RequireStop()
	require.Equal(t, 3, db.Stats().Max)
}

func TestAFailedStartLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	empty := testkit.DB(t)
	url, owner := empty.Pool().Config().ConnString(), testkit.OwnerPool(t, empty).Config().ConnString()
	bad := fstest.MapFS{"00001_bad.sql": {Data: []byte("-- +goose Up\nselect 1/0;\n")}}
	_, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, MigrateURL: owner, Migrate: true, ApplicationName: "failed"},
		fxdb.WithMigrations("bad", bad))
	require.ErrorContains(t, err, `migrations "bad"`)
	require.ErrorContains(t, err, "division by zero")
	requireNoBackends(t, empty, "failed")

	_, err = fxdb.Open(t.Context(), fxdb.Config{URL: url, PoolMax: 60_000, ApplicationName: "failed"})
	require.ErrorContains(t, err, "DB_POOL_MAX is 60000")
	requireNoBackends(t, empty, "failed")
}

func TestMigrationsRunOnceForManyStarts(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	empty := testkit.DB(t)
	cfg := fxdb.Config{
		URL: empty.Pool().Config().ConnString(), MigrateURL: testkit.OwnerPool(t, empty).Config().ConnString(), Migrate: true, PoolMin: 1, PoolMax: 2,
	}
	other := fstest.MapFS{"sql/00001_other.sql": {Data: []byte("-- +goose Up\ncreate schema other;\ncreate table other.t (n int);\n-- +goose Down\ndrop schema other cascade;\n")}}

	errs := make(chan error, 4)
	for range 4 {
		go func() {
			db, err := fxdb.Open(t.Context(), cfg, fxdb.WithMigrations("notes", notes), fxdb.WithMigrations("other", other))
			if err == nil {
				// The restricted role can use what the owner made, and nothing more.
				_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('x')")
				_, ddlErr := db.Exec(t.Context(), "drop table other.t")
				if ddlErr == nil {
					err = errors.New("the pool's role could drop a table")
				}
				err = errors.Join(err, db.Close(t.Context()))
			}
			errs <- err
		}()
	}
	for range 4 {
		require.NoError(t, <-errs)
	}
	db, err := fxdb.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer db.Close(t.Context())
	var versions string
	require.NoError(t, db.QueryRow(t.Context(), `
		select (select string_agg(version_id::text, ',' order by id) from onepool.notes_versions) || ' ' ||
		       (select string_agg(version_id::text, ',' order by id) from onepool.other_versions)`).Scan(&versions))
	require.Equal(t, "0,1 0,1", versions)
}

func TestBadMigrationSourcesAreRefusedByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		sources []fxdb.Option
		want    string
	}{
		{"a bad name", []fxdb.Option{fxdb.WithMigrations("Bad-Name", notes)}, "Bad-Name"},
		{"a name twice", []fxdb.Option{fxdb.WithMigrations("a", notes), fxdb.WithMigrations("a", notes)}, "two sources"},
		{"no file", []fxdb.Option{fxdb.WithMigrations("a", fstest.MapFS{})}, "no *.sql file"},
		{"no file system", []fxdb.Option{fxdb.WithMigrations("a", nil)}, "nil"},
	} {
		_, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://h/d"}, c.sources...)
		require.ErrorContains(t, err, c.want, c.name)
	}
}

func TestDevdbFillsTheConfigOnlyWhenNoSettingNamesADatabase(t *testing.T) {
	size.SkipShort(t)
	setenv(t, map[string]string{"DB_POOL_MAX": "7"})
	var cfg fxdb.Config
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, devdb.Module, fxdb.Migrations("notes", notes), fx.Populate(&cfg, &db))
	app.RequireStart()
	require.True(t, strings.HasPrefix(cfg.URL, "postgres://"), cfg)
	require.True(t, cfg.Migrate)
	require.Equal(t, 7, db.Stats().Max)
	_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	app.RequireStop()

	setenv(t, map[string]string{"DATABASE_URL": "postgres://u@127.0.0.1:1/d"})
	app = fxtest.New(t, fxdb.Module, devdb.Module, fx.Populate(&cfg))
	require.NoError(t, app.Err())
	require.Equal(t, "postgres://u@127.0.0.1:1/d", cfg.URL)
}
