package fxdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgbouncer"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// openPooled opens a pool with DB_POOLER=transaction.
func openPooled(t testing.TB, url string, change ...func(*fxdb.Config)) *fxdb.DB {
	t.Helper()
	cfg := fxdb.Config{URL: url, Pooler: "transaction", PoolMin: 1, PoolMax: 1, ApplicationName: "shop"}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close(context.WithoutCancel(t.Context())) })
	return db
}

// behindPooler is a database of this test's own, as itself and through a pooler
// that keeps so many connections to the server.
func behindPooler(t testing.TB, settings ...string) (*fxdb.DB, *pgbouncer.Pooler) {
	t.Helper()
	db := notesDB(t, testkit.Config(one))
	return db, pgbouncer.Start(t, db.Pool().Config().ConnString(), settings...)
}

func TestEverythingWorksThroughATransactionPooler(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t, "default_pool_size = 1") // the second use of a client's meets another's session
	_, err := testkit.OwnerPool(t, direct).Exec(t.Context(), "create table notes.import (id int, body text); grant all on notes.import to public")
	require.NoError(t, err)
	one, two := openPooled(t, pooler.URL()), openPooled(t, pooler.URL())
	acme := as(t, "acme")
	for round := range 3 {
		for i, db := range []*fxdb.DB{one, two} {
			_, err := db.Exec(acme, "insert into notes.notes (body) values ($1)", "body")
			require.NoError(t, err)
			var n int
			require.NoError(t, db.QueryRow(acme, "select count(*) from notes.notes where body = $1", "body").Scan(&n))
			require.Equal(t, 2*round+i+1, n)
			rows, err := db.Query(acme, "select body from notes.notes where body = $1", "body")
			require.NoError(t, err)
			bodies, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Len(t, bodies, n)
			require.NoError(t, batchOf(acme, db, "select 1", "update notes.notes set body = body"))
			require.Error(t, batchOf(acme, db, "select 1", "select 1/0"))
			require.Error(t, batchOf(t.Context(), db, "select 1", "select 1/0"))
			require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
				return pgx.BeginFunc(acme, tx, func(tx pgx.Tx) error {
					var got string
					require.NoError(t, tx.QueryRow(acme, tenantSetting+" where $1 = 7", 7).Scan(&got))
					require.Equal(t, "acme", got)
					return nil
				})
			}))
			copied, err := db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"copied"}, {"copied"}}))
			require.NoError(t, err)
			require.EqualValues(t, 2, copied)
			copied, err = db.CopyFrom(t.Context(), pgx.Identifier{"notes", "import"}, []string{"id", "body"}, pgx.CopyFromRows([][]any{{1, "x"}}))
			require.NoError(t, err)
			require.EqualValues(t, 1, copied)
			require.NoError(t, db.QueryRow(t.Context(), "select count(*) from notes.notes where $1", true).Scan(&n))
			require.Zero(t, n, "nobody saw rows")
			_, err = db.Exec(acme, "update notes.notes set body = body; select 1") // a simple query
			require.NoError(t, err)
			require.NoError(t, db.Ping(t.Context()))
			require.True(t, db.Monitor().Health(t.Context()).Ready)
		}
	}
	_, err = testkit.OwnerPool(t, direct).Exec(t.Context(), "alter table notes.import add column more text")
	require.NoError(t, err)
	for _, db := range []*fxdb.DB{one, two} {
		for range 2 {
			rows, err := db.Query(acme, "select * from notes.import where id > $1", 0)
			require.NoError(t, err)
			require.Len(t, rows.FieldDescriptions(), 3)
			rows.Close()
			require.NoError(t, rows.Err())
		}
	}
}

func TestLimitsOnTheServerHoldThroughAPooler(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, pooler := behindPooler(t)
	db := openPooled(t, pooler.URL()+"&lock_timeout=1234", func(c *fxdb.Config) { c.StatementTimeout = 50 * time.Millisecond })
	reports := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 50 * time.Second}))
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		for name, want := range map[string]string{
			"statement_timeout": "50ms", "lock_timeout": "1234ms", "idle_in_transaction_session_timeout": "1min", "application_name": "shop",
		} {
			require.Equal(t, want, settingOf(t, db, ctx, name), name)
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				var got string
				require.NoError(t, tx.QueryRow(ctx, "select current_setting($1)", name).Scan(&got))
				require.Equal(t, want, got, "%s in a transaction", name)
				return nil
			}))
		}
		require.Equal(t, "50s", settingOf(t, reports, ctx, "statement_timeout"))
		require.Equal(t, "1234ms", settingOf(t, reports, ctx, "lock_timeout"))
		require.Equal(t, "shop/reports", settingOf(t, reports, ctx, "application_name"))
		_, err := db.Exec(ctx, "select pg_sleep(60)")
		require.NoError(t, isCode(err, "57014"))
	}
	raw, err := pgx.Connect(t.Context(), pooler.URL()+"&default_query_exec_mode=exec")
	require.NoError(t, err)
	defer raw.Close(t.Context())
	var left string
	require.NoError(t, raw.QueryRow(t.Context(), "select current_setting('statement_timeout') || current_setting('lock_timeout')").Scan(&left))
	require.Equal(t, "00", left, "what a client had set stayed on the server's session")
}

func TestAPoolerTakesNoMoreFlights(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t)
	w := layWire(t, 0, direct, pooler.Socket())
	db := openPooled(t, w.URL).Named("client")
	for who, ctx := range map[string]context.Context{"a tenant": as(t, "acme"), "nobody": t.Context()} {
		for name, c := range map[string]struct {
			flights int64
			use     func() error
		}{
			"Exec":                 {1, func() error { _, err := db.Exec(ctx, "select 1"); return err }},
			"Exec with parameters": {1, func() error { _, err := db.Exec(ctx, "select $1::int", 1); return err }},
			"QueryRow":             {1, func() error { var n int; return db.QueryRow(ctx, "select $1::int", 1).Scan(&n) }},
			"SendBatch":            {1, func() error { return batchOf(ctx, db, "select 1", "select 2") }},
			"InTx": {2, func() error {
				return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select $1::int", 1); return err })
			}},
		} {
			require.NoError(t, c.use())
			require.Equal(t, c.flights, w.during(t, c.use), "%s of %s", name, who)
		}
	}
}

func TestPoolsThatShareAPoolersConnectionsKeepTenantsApart(t *testing.T) {
	base := huntGround(t)
	pooler := pgbouncer.Start(t, base.Pool().Config().ConnString(), "default_pool_size = 2")
	four := func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.NestedAcquire = huntConns, huntConns, "off" }
	one, two := openPooled(t, pooler.URL(), four), openPooled(t, pooler.URL(), four)
	hunt(t, size.Of(500, 1500, 20_000), huntModes, one, two)

	// Both of the server's sessions, seen from outside of onepool.
	pids := make(map[int]bool)
	for range 2 {
		raw, err := pgx.Connect(t.Context(), pooler.URL()+"&default_query_exec_mode=exec")
		require.NoError(t, err)
		defer raw.Close(t.Context())
		tx, err := raw.Begin(t.Context())
		require.NoError(t, err)
		defer tx.Rollback(t.Context())
		var pid int
		var left string
		require.NoError(t, tx.QueryRow(t.Context(), "select pg_backend_pid(), "+settingsColumn+" || current_setting('statement_timeout')").Scan(&pid, &left))
		require.Equal(t, "/0", left, "something stayed on the server's session")
		pids[pid] = true
	}
	require.Len(t, pids, 2)
}

func TestAConnectionOfThePoolMeetsSeveralSessions(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, pooler := behindPooler(t, "default_pool_size = 2")
	busy, db := openPooled(t, pooler.URL()), openPooled(t, pooler.URL())
	session := func() (pid int) {
		require.NoError(t, db.QueryRow(as(t, "acme"), "select pg_backend_pid() where $1", true).Scan(&pid))
		return pid
	}
	var beside int
	require.NoError(t, busy.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select 1")
		beside = session()
		return err
	}))
	require.NotEqual(t, beside, session(), "PgBouncer takes the one that came back last")
	require.EqualValues(t, 1, db.Stats().Opened)
}

func TestAnIdentityLeftOnASharedSessionReachesNobody(t *testing.T) {
	t.Parallel()
	direct, pooler := behindPooler(t, "default_pool_size = 1")
	_, err := direct.Exec(as(t, "acme"), "insert into notes.notes (body) values ('secret')")
	require.NoError(t, err)
	other, err := pgx.Connect(t.Context(), pooler.URL()+"&default_query_exec_mode=exec")
	require.NoError(t, err)
	defer other.Close(t.Context())
	_, err = other.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false), set_config('app.current_user', 'root', false)")
	require.NoError(t, err)

	db := openPooled(t, pooler.URL())
	see := func(name string, get func() (int, string)) {
		n, who := get()
		require.Zero(t, n, name)
		require.Equal(t, "/", who, name)
	}
	const sql = "select (select count(*) from notes.notes), " + settingsColumn
	see("QueryRow", func() (n int, who string) {
		require.NoError(t, db.QueryRow(t.Context(), sql).Scan(&n, &who))
		return n, who
	})
	see("SendBatch", func() (n int, who string) {
		b := &pgx.Batch{}
		b.Queue(sql)
		br := db.SendBatch(t.Context(), b)
		require.NoError(t, br.QueryRow().Scan(&n, &who))
		require.NoError(t, br.Close())
		return n, who
	})
	see("InTx", func() (n int, who string) {
		require.NoError(t, db.InTx(tenant.System(t.Context(), "test"), pgx.TxOptions{}, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), sql).Scan(&n, &who)
		}))
		return n, who
	})
}

func TestAPoolMayBeLargerThanAPoolersServer(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, pooler := behindPooler(t)
	db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.PoolMax, c.ReplicasOfApp = 5000, 10 })
	require.NoError(t, db.Ping(t.Context()))
}

func TestMigrationsGoAroundAPooler(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t)
	owner := testkit.OwnerPool(t, direct).Config().ConnString()
	cfg := fxdb.Config{URL: pooler.URL(), Pooler: "transaction", Migrate: true, MigrateURL: owner, PoolMax: 1}
	db, err := fxdb.Open(t.Context(), cfg, fxdb.WithMigrations("notes", notes))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))

	cfg.MigrateURL = ""
	_, err = fxdb.Open(t.Context(), cfg, fxdb.WithMigrations("notes", notes))
	var configErr *fxdb.ConfigError
	require.ErrorAs(t, err, &configErr)
	require.Equal(t, "DB_MIGRATE_URL", configErr.Setting)
	require.ErrorContains(t, err, "DB_POOLER")
}

func TestDedicatedPoolsGoThroughThePoolerToo(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t, "default_pool_size = 1")
	db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.Dedicated, c.VerifyTenancy = []string{"reports=2"}, "require" })
	reports := db.Named("reports")
	require.NotSame(t, db.Pool(), reports.Pool())
	for _, db := range []*fxdb.DB{db, reports} {
		_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ($1)", "x")
		require.NoError(t, err)
		require.Equal(t, "30s", settingOf(t, db, t.Context(), "statement_timeout"))
		_, err = db.Acquire(t.Context())
		require.ErrorIs(t, err, fxdb.ErrNeedsSession)
	}
	var n int
	require.NoError(t, direct.QueryRow(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 2, n)
}

func TestAPoolerThatIsAwayIsNoticedAndComeBackTo(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t, "server_login_retry = 1")
	db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 2, 2 })
	ready := func() bool { return db.Monitor().Health(t.Context()).Ready }
	require.True(t, ready())
	pooler.Command(t, "KILL "+pooler.Database()) // it cuts all connections off and lets nobody in
	require.Eventually(t, func() bool { return !ready() }, patience, time.Millisecond)
	pooler.Command(t, "RESUME "+pooler.Database())
	require.Eventually(t, ready, patience, time.Millisecond)
	_, err := db.Exec(fxdb.Idempotent(as(t, "acme")), "insert into notes.notes (body) values ($1)", "x")
	require.NoError(t, err)

	// Its sessions on the server, the one in use among them.
	attempts := 0
	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "select 1"); err != nil {
			return err
		}
		if attempts++; attempts == 1 {
			_, err := direct.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
			require.NoError(t, err)
		}
		var n int
		return tx.QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n)
	}))
	require.Equal(t, 2, attempts)

	// A standby is the pooler's matter: new connections would meet the same sessions.
	// The pool asks each connection whether it lives before its next use.
	one, two := backendIn(t, db), backendIn(t, db)
	require.NoError(t, errors.Join(one.Rollback(t.Context()), two.Rollback(t.Context())))
	opened := db.Stats().Opened
	for range 3 {
		err := db.InTx(as(t, "acme"), pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "update notes.notes set body = body")
			return err
		})
		require.NoError(t, isCode(err, "25006"))
		require.NoError(t, db.Ping(t.Context()))
	}
	require.Equal(t, opened, db.Stats().Opened)
}

func TestAStopEndsWhatRunsBehindAPooler(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t)
	const there = " from pg_stat_activity where datname = current_database() and state = 'active' and query like '%behind a pooler%' and pid <> pg_backend_pid()"
	running := func() (n int) {
		require.NoError(t, direct.QueryRow(within(t), "select count(*)"+there).Scan(&n))
		return n
	}
	// A cancel request has 50 ms from one end of the pooler to the other. A busy machine may
	// let that pass, but not each time.
	for stop := 1; ; stop++ {
		db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.DrainTimeout, c.StatementTimeout = 100*time.Millisecond, time.Hour })
		slow := make(chan error, 1)
		go func() {
			_, err := db.Exec(as(t, "acme"), "select pg_sleep(3600), 'behind a pooler'")
			slow <- err
		}()
		require.Eventually(t, func() bool { return running() == 1 }, patience, time.Millisecond)
		var cut *lifecycle.DrainError
		require.ErrorAs(t, db.Close(within(t)), &cut)
		require.Error(t, receive(t, slow, "the statement's end"))
		if waitUntil(5*time.Second, func() bool { return running() == 0 }) {
			break
		}
		require.Less(t, stop, 5, "no stop ended what runs on the server")
		_, err := direct.Exec(within(t), "select pg_terminate_backend(pid)"+there)
		require.NoError(t, err)
	}
}

func TestAPoolerThatNobodyNamedIsNoticed(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	direct, pooler := behindPooler(t, "ignore_startup_parameters = statement_timeout,lock_timeout,idle_in_transaction_session_timeout")
	strict := pgbouncer.Start(t, direct.Pool().Config().ConnString())
	for name, c := range map[string]struct {
		cfg   fxdb.Config
		warns int
	}{
		"a pooler that nobody named": {fxdb.Config{URL: pooler.URL(), PoolMin: 1, PoolMax: 3}, 1},
		"a pooler":                   {fxdb.Config{URL: pooler.URL(), Pooler: "transaction"}, 0},
		"the server itself":          {fxdb.Config{URL: direct.Pool().Config().ConnString(), PoolMax: 5}, 0},
	} {
		core, logs := observer.New(zap.WarnLevel)
		db, err := fxdb.Open(t.Context(), c.cfg, fxdb.WithLogger(zap.New(core)))
		require.NoError(t, err, name)
		require.Equal(t, name == "the server itself", db.Monitor().CancelsStatements(time.Now()), name)
		require.NoError(t, db.Close(t.Context()))
		require.Equal(t, c.warns, logs.FilterMessageSnippet("DB_POOLER").Len(), name)
	}
	_, err := fxdb.Open(t.Context(), fxdb.Config{URL: strict.URL(), Start: fxdb.StartWait})
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.ErrorContains(t, err, "set DB_POOLER=transaction", "PgBouncer refuses the limits at connect")
}

// backendIn returns a transaction that the server has.
func backendIn(t *testing.T, db *fxdb.DB) pgx.Tx {
	t.Helper()
	tx, err := db.Begin(within(t))
	require.NoError(t, err)
	_, err = tx.Exec(within(t), "select 1")
	require.NoError(t, err)
	return tx
}
