package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The acceptance list of the system that onepool replaces: 29 behaviours of its
// pool manager, numbered as there. TestSeed01 is number 1, and so on.

func TestSeed01EveryConsumerGetsTheSamePool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type one struct{ db *fxdb.DB }
	type two struct{ db *fxdb.DB }
	var a *one
	var b *two
	startApp(t, fxdb.Config{URL: urlOf(t)},
		fxdb.Client("one", func(db *fxdb.DB) *one { return &one{db} }),
		fxdb.Client("two", func(db *fxdb.DB) *two { return &two{db} }),
		fx.Populate(&a, &b))
	require.Same(t, a.db.Pool(), b.db.Pool())
}

func TestSeed02TwoApplicationsHaveTwoPools(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	url := urlOf(t)
	one, two := startApp(t, fxdb.Config{URL: url}), startApp(t, fxdb.Config{URL: url})
	require.NotSame(t, one.Pool(), two.Pool())
}

func TestSeed03StartsFromTheEnvironment(t *testing.T) {
	t.Setenv("DATABASE_URL", urlOf(t))
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Populate(&db))
	app.RequireStart()
	defer app.RequireStop()
	require.True(t, db.Monitor().Started())
}

func TestSeed04StartsFromAConfigAndNeedsAServer(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	require.True(t, startApp(t, fxdb.Config{URL: urlOf(t)}).Monitor().Started())

	_, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://u@127.0.0.1:1/d"})
	require.Error(t, err)
	var connectErr *pgconn.ConnectError
	require.ErrorAs(t, err, &connectErr)
}

func TestSeed05ASecondStartIsANoOpWithAWarning(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	db := startApp(t, fxdb.Config{URL: urlOf(t)}, fx.Supply(zap.New(core)))
	pool := db.Pool()
	require.NoError(t, db.Monitor().Start(t.Context()))
	require.Same(t, pool, db.Pool())
	require.NoError(t, db.Ping(t.Context()))
	require.Equal(t, 1, logs.FilterMessage("pool is already started").Len())
}

func TestSeed06EveryUseBeforeTheStartFails(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := urlOf(t)
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Replace(fxdb.Config{URL: url}), fx.Populate(&db))
	for name, use := range everyUse(t.Context(), db) {
		require.ErrorIs(t, use(), fxdb.ErrNotStarted, name)
	}
	require.Zero(t, db.Stats().Opened, "a connection was opened before the start")
	app.RequireStart()
	app.RequireStop()
}

// everyUse is every way to the server that a *DB offers.
func everyUse(ctx context.Context, db *fxdb.DB) map[string]func() error {
	return map[string]func() error{
		"Exec": func() error { _, err := db.Exec(ctx, "select 1"); return err },
		"Query": func() error {
			rows, err := db.Query(ctx, "select 1")
			rows.Close()
			return err
		},
		"QueryRow": func() error { var n int; return db.QueryRow(ctx, "select 1").Scan(&n) },
		"SendBatch": func() error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			return db.SendBatch(ctx, b).Close()
		},
		"CopyFrom": func() error {
			_, err := db.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"a"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"Begin":   func() error { _, err := db.Begin(ctx); return err },
		"BeginTx": func() error { _, err := db.BeginTx(ctx, pgx.TxOptions{}); return err },
		"InTx":    func() error { return db.InTx(ctx, pgx.TxOptions{}, func(pgx.Tx) error { return nil }) },
		"Acquire": func() error { _, err := db.Acquire(ctx); return err },
		"Ping":    func() error { return db.Ping(ctx) },
		"Pool":    func() error { _, err := db.Pool().Exec(ctx, "select 1"); return err },
	}
}

func TestSeed07HealthIsGoodOnALiveDatabase(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	h := notesDB(t).Monitor().Health(t.Context())
	require.True(t, h.Ready)
	require.Empty(t, h.Error)
	require.Equal(t, lifecycle.Healthy, h.Status)
	require.False(t, h.CheckedAt.IsZero())
}

func TestSeed08StatsCarryEveryFigure(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t)
	conn, err := db.Named("holder").Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	s := db.Stats()
	require.Equal(t, 1, s.Active)
	require.GreaterOrEqual(t, s.Total, s.Active+s.Idle, "the rest is being opened")
	require.Zero(t, s.Waiting)
	require.Equal(t, 10, s.Max)
	require.WithinDuration(t, time.Now(), s.CreatedAt, time.Hour)
	require.Contains(t, []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy}, s.Status)
	require.Contains(t, s.Clients, fxdb.ClientStats{Name: "holder", Held: 1, Acquired: 1})
}

func TestSeed09StatusFollowsUtilisation(t *testing.T) {
	size.SkipUnlessSoak(t, "lifecycle's TestABurstDoesNotChangeTheVerdict")
	t.Parallel()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 20, 20 }))
	held := 0
	for _, c := range []struct {
		held    int
		want    lifecycle.Status
		sustain bool // health looks at the mean of a second
	}{
		{0, lifecycle.Healthy, true},
		{15, lifecycle.Healthy, false},
		{16, lifecycle.Degraded, size.Of(false, true, true)},
		{18, lifecycle.Degraded, size.Of(false, false, true)},
		{19, lifecycle.Unhealthy, true},
		{20, lifecycle.Unhealthy, size.Of(false, false, true)},
	} {
		for ; held < c.held; held++ {
			conn, err := db.Acquire(within(t))
			require.NoError(t, err)
			defer conn.Release()
		}
		require.Equal(t, c.want, db.Stats().Status, "%d of 20 in use", held)
		if !c.sustain {
			continue
		}
		require.Eventually(t, func() bool {
			h := db.Monitor().Health(within(t))
			return h.Ready && h.Status == c.want // a busy pool is not taken for an unreachable server
		}, patience, 20*time.Millisecond, "%d of 20 in use, sustained", held)
	}
}

func TestSeed10ATransactionSeesItsTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	tx, err := db.Begin(as(t, "acme"))
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	var got string
	require.NoError(t, tx.QueryRow(t.Context(), tenantSetting).Scan(&got))
	require.Equal(t, "acme", got)
}

func TestSeed11UserAndSessionAreSetToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme", User: "u'1", Session: "s;2"})
	require.Equal(t, "u'1", settingOf(t, db, ctx, "app.current_user"))
	require.Equal(t, "s;2", settingOf(t, db, ctx, "app.current_session"))
	require.Empty(t, settingOf(t, db, as(t, "acme"), "app.current_user"), "an absent user was inherited")
}

func TestSeed12AOneShotStatementSeesItsTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	require.Equal(t, "acme", settingOf(t, notesDB(t), as(t, "acme"), "app.current_tenant"))
}

func TestSeed13TenantsSeeTheirOwnRowsOnly(t *testing.T) {
	t.Parallel()
	t.Run("in sequence on one connection", func(t *testing.T) {
		t.Parallel()
		db := notesDB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 }))
		for round := range 10 { // a cached plan shows its faults from the seventh on
			for _, name := range []string{"acme", "globex"} {
				require.Equal(t, name, settingOf(t, db, as(t, name), "app.current_tenant"))
				_, err := db.Exec(as(t, name), "insert into notes.notes (body) values ($1)", name)
				require.NoError(t, err)
				var own, all int
				require.NoError(t, db.QueryRow(as(t, name),
					"select count(*) filter (where body = $1), count(*) from notes.notes", name).Scan(&own, &all))
				require.Equal(t, round+1, own)
				require.Equal(t, own, all, "rows of another tenant")
			}
			require.Empty(t, settingOf(t, db, t.Context(), "app.current_tenant"), "the tenant stayed on the connection")
			var n int
			require.NoError(t, db.QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n))
			require.Zero(t, n, "nobody saw rows")
		}
	})
	t.Run("a hundred in parallel", func(t *testing.T) {
		t.Parallel()
		db := notesDB(t)
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for i := range 100 {
			wg.Go(func() {
				name := fmt.Sprintf("tenant-%d", i)
				ctx := as(t, name)
				for range 5 {
					if _, err := db.Exec(ctx, "insert into notes.notes (body) values ($1)", name); err != nil {
						errs <- err
						return
					}
				}
				var n, foreign int
				err := db.QueryRow(ctx, "select count(*), count(*) filter (where body <> $1) from notes.notes", name).Scan(&n, &foreign)
				if err != nil || n != 5 || foreign != 0 {
					errs <- fmt.Errorf("%s: %d rows, %d foreign, %w", name, n, foreign, err)
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
	})
	t.Run("writes and deletes too", func(t *testing.T) {
		t.Parallel()
		db := notesDB(t)
		_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('a')")
		require.NoError(t, err)
		for who, ctx := range map[string]context.Context{"another": as(t, "globex"), "nobody": t.Context()} {
			for _, sql := range []string{"update notes.notes set body = 'b'", "delete from notes.notes"} {
				tag, err := db.Exec(ctx, sql)
				require.NoError(t, err)
				require.Zero(t, tag.RowsAffected(), "%s: %s", who, sql)
			}
			_, err := db.Exec(ctx, "insert into notes.notes (tenant_id, body) values ('acme', 'forged')")
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr, who)
			require.Equal(t, "42501", pgErr.Code, who)
		}
	})
}

func TestSeed14ASimpleQueryWorks(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	var n int
	require.NoError(t, notesDB(t).QueryRow(t.Context(), "select $1::int + 1", 41).Scan(&n))
	require.Equal(t, 42, n)
}

func TestSeed15ManyConcurrentQueriesGetTheirOwnAnswers(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	db, err := fxdb.Open(within(t), fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "seed15"})
	require.NoError(t, err)
	defer db.Close(context.Background())

	// All wait for a lock, so that as many run at once as may.
	lock, err := own.Begin(within(t))
	require.NoError(t, err)
	_, err = lock.Exec(within(t), "select pg_advisory_xact_lock(15)")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wrong := make(chan error, 200)
	for i := range 200 {
		wg.Go(func() {
			var n int
			if err := db.QueryRow(within(t), "select $1::int from pg_advisory_xact_lock_shared(15)", i).Scan(&n); err != nil || n != i {
				wrong <- fmt.Errorf("asked for %d, got %d, %w", i, n, err)
			}
		})
	}
	require.Eventually(t, func() bool { s := db.Stats(); return s.Active == 20 && s.Waiting == 180 }, patience, time.Millisecond)
	var most int
	require.NoError(t, lock.QueryRow(within(t), "select count(*) from pg_stat_activity where application_name = 'seed15' and datname = current_database()").Scan(&most))
	require.LessOrEqual(t, most, 20, "more backends than DB_POOL_MAX")
	require.NoError(t, lock.Rollback(within(t)))
	wg.Wait()
	close(wrong)
	for err := range wrong {
		t.Error(err)
	}
}

func TestSeed16AFewSequentialQueriesUseFewConnections(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t)
	for range 3 {
		require.NoError(t, db.Ping(t.Context()))
	}
	require.LessOrEqual(t, db.Stats().Total, 5)
}

// 17, 18 and 19 are in config_test.go: TestSeed17…, TestSeed18…, TestSeed19….

func TestSeed20AfterAStopThePoolIsNotStarted(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t)}), fx.Populate(&db))
	app.RequireStart()
	app.RequireStop()
	require.False(t, db.Monitor().Started())
	require.False(t, db.Monitor().Health(t.Context()).Ready)
	require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrDraining)
}

func TestSeed21AStopClosesEveryConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Replace(fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "seed21"}), fx.Populate(&db))
	app.RequireStart()
	require.NoError(t, db.Ping(within(t)))
	require.Positive(t, db.Stats().Total)
	require.Positive(t, backends(t, own, "seed21"))
	app.RequireStop()
	requireNoBackends(t, own, "seed21")
	require.Zero(t, db.Stats().Total)
}

func TestSeed22AStopWithoutAStartWarns(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	var db *fxdb.DB
	fxtest.New(t, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere"}), fx.Supply(zap.New(core)), fx.Populate(&db))
	require.NoError(t, db.Close(t.Context()))
	require.Equal(t, 1, logs.FilterMessage("pool drained without having been started").Len())
}

func TestSeed23EveryUseDuringAStopFails(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	closed := make(chan error, 1)
	go func() { closed <- db.Close(context.Background()) }()
	require.Eventually(t, func() bool { return db.Stats().Draining }, patience, time.Millisecond)
	for name, use := range everyUse(t.Context(), db) {
		require.ErrorIs(t, use(), fxdb.ErrDraining, name)
	}
	conn.Release()
	require.NoError(t, <-closed)
}

func TestSeed24InvalidSQLIsRefusedAndThePoolGoesOn(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 }))
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		_, err := db.Exec(ctx, "selec 1")
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "42601", pgErr.Code)
		require.NoError(t, db.Ping(ctx))
	}
	require.EqualValues(t, 1, db.Stats().Opened, "the connection was thrown away")
}

func TestSeed25HealthIsBadWithoutAServer(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	s := pgfault.Start(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: s.AppURL()})
	require.NoError(t, err)
	defer db.Close(t.Context())
	require.True(t, db.Monitor().Health(t.Context()).Ready)
	require.NoError(t, s.Stop(t.Context()))
	require.Eventually(t, func() bool {
		h := db.Monitor().Health(t.Context())
		return !h.Ready && h.Status == lifecycle.Unhealthy && h.Error != ""
	}, patience, 10*time.Millisecond)
}

func TestSeed26ABadIdentitySendsNothingAndThePoolGoesOn(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	before := db.Stats().AcquireCount
	ctx := as(t, string(make([]byte, 300)))
	for name, use := range everyUse(ctx, db) {
		if name == "Pool" || name == "Ping" {
			continue // these carry no tenant
		}
		require.ErrorIs(t, use(), tenant.ErrInvalid, name)
	}
	require.Equal(t, before, db.Stats().AcquireCount, "a connection was taken")
	require.NoError(t, db.Ping(t.Context()))
	require.Zero(t, db.Stats().Active)
}

func TestSeed27TheMethodsOfThePoolWork(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t)
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		for name, use := range everyUse(ctx, db) {
			if _, scoped := tenant.FromContext(ctx); scoped && (name == "Acquire" || name == "Pool") {
				require.ErrorIs(t, use(), fxdb.ErrTenantNotCarried, name)
				continue
			}
			if name == "CopyFrom" || name == "Begin" || name == "BeginTx" || name == "Acquire" {
				continue // they need a table, or leave something open: tested elsewhere
			}
			require.NoError(t, use(), name)
		}
	}
	require.Zero(t, db.Stats().Active)
}

func TestSeed28InTxRunsWithTheTenantAndCommits(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
		var got string
		if err := tx.QueryRow(t.Context(), tenantSetting).Scan(&got); err != nil {
			return err
		}
		require.Equal(t, "acme", got)
		_, err := tx.Exec(t.Context(), "insert into notes.notes (body) values ('x')")
		return err
	}))
	var n int
	require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 1, n)
}

func TestSeed29InTxGivesTheConnectionBackOnEveryPath(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	boom := errors.New("boom")
	cancelled, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		ctx  context.Context
		fn   func(pgx.Tx) error
		want func(t *testing.T, err error, panicked any)
	}{
		"an error": {t.Context(), func(pgx.Tx) error { return boom }, func(t *testing.T, err error, _ any) { require.ErrorIs(t, err, boom) }},
		"a panic":  {t.Context(), func(pgx.Tx) error { panic(boom) }, func(t *testing.T, _ error, p any) { require.Equal(t, boom, p) }},
		"a context that ends": {cancelled, func(tx pgx.Tx) error {
			cancel()
			_, err := tx.Exec(cancelled, "select 1")
			return err
		}, func(t *testing.T, err error, _ any) { require.ErrorIs(t, err, context.Canceled) }},
		"a failed statement that is swallowed": {t.Context(), func(tx pgx.Tx) error {
			_, _ = tx.Exec(t.Context(), "select 1/0")
			return nil
		}, func(t *testing.T, err error, _ any) { require.ErrorIs(t, err, pgx.ErrTxCommitRollback) }},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			panicked := func() (p any) {
				defer func() { p = recover() }()
				err = db.InTx(c.ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), "insert into notes.plain values (1)")
					require.NoError(t, err)
					return c.fn(tx)
				})
				return nil
			}()
			c.want(t, err, panicked)
			require.Zero(t, db.Stats().Active)
			var n int
			require.NoError(t, db.QueryRow(t.Context(), "select count(*) from notes.plain").Scan(&n))
			require.Zero(t, n, "the transaction was not rolled back")
		})
	}
}
