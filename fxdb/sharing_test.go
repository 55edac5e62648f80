package fxdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// holding takes n connections for the client.
func holding(t *testing.T, db *fxdb.DB, n int) (release func()) {
	t.Helper()
	var held []pgx.Tx
	for range n {
		tx, err := db.Begin(t.Context())
		require.NoError(t, err)
		held = append(held, tx)
	}
	return func() {
		for _, tx := range held {
			require.NoError(t, tx.Rollback(t.Context()))
		}
	}
}

// refused asserts that a caller has to wait, and lets that caller give up.
func refused(t *testing.T, db *fxdb.DB, use func(ctx context.Context) error) {
	t.Helper()
	ctx, giveUp := context.WithCancel(within(t))
	defer giveUp()
	before, ended := db.Monitor().Waiting(), make(chan error, 1)
	go func() { ended <- use(ctx) }()
	require.Eventually(t, func() bool { return db.Monitor().Waiting() > before || len(ended) > 0 }, patience, time.Millisecond)
	if len(ended) > 0 {
		t.Fatalf("the caller did not have to wait: %v", <-ended)
	}
	giveUp()
	require.ErrorIs(t, receive(t, ended, "the caller's end"), context.Canceled)
}

func poolOf(n int, more ...func(*fxdb.Config)) testkit.Option {
	return testkit.Config(func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.NestedAcquire = 1, n, "off"
		for _, m := range more {
			m(c)
		}
	})
}

func requirePermitsBack(t *testing.T, db *fxdb.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		s := db.Monitor().Admission().Stats()
		return s.Free == s.Capacity && s.Waiting == 0
	}, patience, time.Millisecond, "a permit was lost: %+v", db.Monitor().Admission().Stats())
}

func TestMaxShareHoldsForEveryWayToAConnection(t *testing.T) {
	t.Parallel()
	db := notesDB(t, poolOf(4))
	small := db.Named("small", fxdb.MaxConns(1))
	release := holding(t, small, 1)
	for name, use := range map[string]func(ctx context.Context) error{
		"Ping":     small.Ping,
		"Exec":     func(ctx context.Context) error { _, err := small.Exec(ctx, "select 1"); return err },
		"Query":    func(ctx context.Context) error { _, err := small.Query(ctx, "select 1"); return err },
		"QueryRow": func(ctx context.Context) error { var n int; return small.QueryRow(ctx, "select 1").Scan(&n) },
		"Batch":    func(ctx context.Context) error { return batchOf(ctx, small, "select 1") },
		"Begin":    func(ctx context.Context) error { _, err := small.Begin(ctx); return err },
		"Acquire":  func(ctx context.Context) error { _, err := small.Acquire(ctx); return err },
		"CopyFrom": func(ctx context.Context) error {
			_, err := small.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
	} {
		t.Log(name)
		refused(t, db, use)
	}
	require.NoError(t, db.Named("other").Ping(t.Context()), "the others are not held back")
	release()
	require.NoError(t, small.Ping(t.Context()))
	requirePermitsBack(t, db)

	stats := clientStats(t, db, "small")
	require.Equal(t, 1, stats.MaxConns)
	require.EqualValues(t, 8, stats.Refused)
	require.Positive(t, stats.WaitMax)
	require.GreaterOrEqual(t, stats.WaitTotal, stats.WaitMax)
}

func clientStats(t *testing.T, db *fxdb.DB, name string) fxdb.ClientStats {
	t.Helper()
	for _, c := range db.Stats().Clients {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no client %q", name)
	return fxdb.ClientStats{}
}

func TestStatsReportWhatWaitedAndForHowLong(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(2))
	_, err := db.Named("slow").Exec(as(t, "acme"), "select pg_sleep(0.3)")
	require.NoError(t, err)
	slow := clientStats(t, db, "slow").Usage
	require.Positive(t, slow.HoldMax)
	require.Equal(t, slow.HoldMax, slow.HoldTotal, "it held one connection, once")
	require.Equal(t, []fxdb.TenantStats{{Name: "acme", Acquired: 1, Usage: slow}}, db.Stats().Tenants)
}

func TestStatsCountTheWaitsForAShare(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(1))
	before := db.Stats()
	release := holding(t, db, 1)
	refused(t, db, db.Ping)
	refused(t, db, db.Pool().Ping)
	release()
	after := db.Stats()
	require.Greater(t, after.AcquireWait, before.AcquireWait)
	require.EqualValues(t, 2, after.CanceledAcquires-before.CanceledAcquires)
}

func TestAReservedConnectionStaysReachable(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, poolOf(3))
	kept, greedy := db.Named("kept", fxdb.Reserve(1)), db.Named("greedy")
	release := holding(t, greedy, 2)
	refused(t, db, greedy.Ping)
	refused(t, db, db.Pool().Ping)
	require.NoError(t, kept.Ping(t.Context()))
	release()
	requirePermitsBack(t, db)
	require.Contains(t, names(db.Stats().Clients), "raw pool")
}

func names(clients []fxdb.ClientStats) (all []string) {
	for _, c := range clients {
		all = append(all, c.Name)
	}
	return all
}

func TestTheRawPoolIsAClientOfItsOwn(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(2))
	require.NoError(t, db.Named("raw pool").SetLimits(fxdb.Limits{MaxConns: 1}))
	conn, err := db.Pool().Acquire(t.Context())
	require.NoError(t, err)
	refused(t, db, db.Pool().Ping)
	require.NoError(t, db.Ping(t.Context()))
	conn.Release()
	requirePermitsBack(t, db)
}

// TestAWaitThatALimitCausedNamesIt gives the pool room, and each caller a limit that
// keeps it out. Raising DB_POOL_MAX would help none, and the pool is not under pressure:
// its connections are open, so that only the limit makes anybody wait.
func TestAWaitThatALimitCausedNamesIt(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	short := func(c *fxdb.Config) { c.PoolMin, c.ConnectionTimeout = c.PoolMax, time.Second }
	for _, c := range []struct {
		name, want string
		cfg        func(*fxdb.Config)
		use        func(t *testing.T, db *fxdb.DB) (func(), error)
	}{
		{"its own limit", `MaxConns of client "small"`, nil, func(t *testing.T, db *fxdb.DB) (func(), error) {
			small := db.Named("small", fxdb.MaxConns(1))
			release := holding(t, small, 1)
			return release, small.Ping(t.Context())
		}},
		{"its tenant's", `DB_TENANT_MAX_FRACTION`, func(c *fxdb.Config) { c.TenantMaxFraction = 0.25 }, func(t *testing.T, db *fxdb.DB) (func(), error) {
			tx, err := db.Begin(as(t, "acme"))
			require.NoError(t, err)
			_, err = db.Exec(as(t, "acme"), "select 1")
			return func() { require.NoError(t, tx.Rollback(t.Context())) }, err
		}},
		{"another's reserve", `Reserve`, nil, func(t *testing.T, db *fxdb.DB) (func(), error) {
			db.Named("kept", fxdb.Reserve(2))
			release := holding(t, db, 2)
			return release, db.Ping(t.Context())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := c.cfg
			if cfg == nil {
				cfg = func(*fxdb.Config) {}
			}
			db := notesDB(t, poolOf(4, short, cfg))
			release, err := c.use(t, db)
			defer release()
			require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "DB_POOL_MAX")
			// A probe may get no answer in its half second on a starved machine; the next does.
			require.Eventually(t, func() bool { return db.Monitor().Health(t.Context()).Status == lifecycle.Healthy }, patience, time.Millisecond)
		})
	}
	t.Run("the pool itself", func(t *testing.T) {
		t.Parallel()
		db := notesDB(t, poolOf(2, short))
		release := holding(t, db, 2)
		defer release()
		err := db.Named("late").Ping(t.Context())
		require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
		require.ErrorContains(t, err, "raise DB_POOL_MAX")
		require.Equal(t, lifecycle.Unhealthy, db.Monitor().Health(t.Context()).Status)
	})
}

func TestATenantHoldsNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	db := notesDB(t, poolOf(4, func(c *fxdb.Config) { c.TenantMaxFraction = 0.5 }))
	a, b := db.Named("a"), db.Named("b")
	hold := func(db *fxdb.DB, name string) pgx.Tx {
		tx, err := db.Begin(as(t, name))
		require.NoError(t, err)
		return tx
	}
	held := []pgx.Tx{hold(a, "acme"), hold(b, "acme")}
	refused(t, db, func(ctx context.Context) error {
		_, err := a.Exec(tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"}), "select 1")
		return err
	})
	_, err := a.Exec(as(t, "globex"), "select 1")
	require.NoError(t, err)
	require.NoError(t, db.SetTenantMaxFraction(1), "limits can change while the pool runs")
	held = append(held, hold(a, "acme"))
	for _, tx := range held {
		require.NoError(t, tx.Rollback(t.Context()))
	}
	requirePermitsBack(t, db)
	stats := db.Stats().Tenants
	require.Len(t, stats, 2)
	require.Equal(t, "acme", stats[0].Name)
	require.EqualValues(t, 3, stats[0].Acquired)
	require.EqualValues(t, 1, stats[0].Refused)
}

func TestADryRunOnlyCounts(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(3, func(c *fxdb.Config) { c.Sharing = "dry-run" }))
	small := db.Named("small", fxdb.MaxConns(1))
	holding(t, small, 3)()
	require.EqualValues(t, 2, clientStats(t, db, "small").WouldWait)
	requirePermitsBack(t, db)
}

func TestPermitsSurviveWhateverHappens(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, poolOf(2))
	boom := errors.New("boom")
	for name, use := range map[string]func(){
		"an error":   func() { _, _ = db.Exec(t.Context(), "select 1/0") },
		"no syntax":  func() { _, _ = db.Query(as(t, "acme"), "selec") },
		"no scan":    func() { var n int; _ = db.QueryRow(as(t, "acme"), "select 'x'").Scan(&n) },
		"a rollback": func() { _ = db.InTx(t.Context(), pgx.TxOptions{}, func(pgx.Tx) error { return boom }) },
		"a panic": func() {
			defer func() { require.Equal(t, boom, recover()) }()
			_ = db.InTx(as(t, "acme"), pgx.TxOptions{}, func(pgx.Tx) error { panic(boom) })
		},
		"a context that has ended": func() {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _ = db.Exec(ctx, "select 1")
			_, _ = db.Pool().Exec(ctx, "select 1")
		},
		"a context that ends": func() {
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := db.Exec(ctx, "select pg_sleep(600)")
				ended <- err
			}()
			require.Eventually(t, func() bool { return db.Stats().Active == 1 }, patience, time.Millisecond)
			cancel()
			require.ErrorIs(t, receive(t, ended, "the statement's end"), context.Canceled)
		},
		"a refused tenant": func() { _, _ = db.Pool().Exec(as(t, "acme"), "select 1") },
		"a killed backend": func() { _, _ = db.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())") },
	} {
		use()
		requirePermitsBack(t, db)
		require.NoError(t, db.Ping(t.Context()), name)
	}
}

func TestSharesThatCanNotBeFailTheStart(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	type client struct{}
	url := urlOf(t)
	for _, c := range []struct {
		name string
		cfg  fxdb.Config
		opts []fxdb.ClientOption
		want string
	}{
		{"a reserve of all", fxdb.Config{PoolMax: 4}, []fxdb.ClientOption{fxdb.Reserve(4)}, "Reserve(4)"},
		{"a reserve above the limit", fxdb.Config{}, []fxdb.ClientOption{fxdb.MaxConns(2), fxdb.Reserve(3)}, "Reserve(3)"},
		{"no connection", fxdb.Config{}, []fxdb.ClientOption{fxdb.MaxConns(0)}, "MaxConns(0)"},
		{"a negative reserve", fxdb.Config{}, []fxdb.ClientOption{fxdb.Reserve(-1)}, "Reserve(-1)"},
		{"no weight", fxdb.Config{}, []fxdb.ClientOption{fxdb.Weight(0)}, "Weight(0)"},
		{"no weight, and sharing is off", fxdb.Config{Sharing: "off"}, []fxdb.ClientOption{fxdb.Weight(0)}, "Weight(0)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL = url
			app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(c.cfg),
				fxdb.Client("greedy", func(*fxdb.DB) client { return client{} }, c.opts...), fx.Invoke(func(client) {}))
			err := app.Start(t.Context())
			require.ErrorAs(t, err, new(*fxdb.ConfigError))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "greedy")
		})
	}
}

func TestAShareThatCanNotBeFailsEveryUseAfterTheStart(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for option, opts := range map[string][]fxdb.ClientOption{
		"Reserve(3)":                {fxdb.Reserve(3)}, // a has 3 of the 4
		"MaxConns(0)":               {fxdb.Weight(2), fxdb.MaxConns(0)},
		"MaxConns(1), Reserve(2)":   {fxdb.MaxConns(1), fxdb.Reserve(2)},
		"Weight(-1)":                {fxdb.Weight(-1)},
		"Weight(1048577), MaxConns": {fxdb.Weight(1<<20 + 1), fxdb.MaxConns(1)},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, poolOf(4))
			require.NoError(t, db.Named("a", fxdb.Reserve(3)).Ping(t.Context()))
			b := db.Named("b")
			require.NoError(t, b.Ping(t.Context()))
			db.Named("b", opts...)
			for name, use := range map[string]func() error{
				"Ping":                      func() error { return b.Ping(t.Context()) },
				"Exec":                      func() error { _, err := b.Exec(as(t, "acme"), "select 1"); return err },
				"Begin":                     func() error { _, err := b.Begin(as(t, "acme")); return err },
				"Acquire":                   func() error { _, err := b.Acquire(t.Context()); return err },
				"a handle that comes later": func() error { return db.Named("b", fxdb.Weight(1)).Ping(t.Context()) },
			} {
				err := use()
				var invalid *fxdb.ConfigError
				require.ErrorAs(t, err, &invalid, name)
				require.Equal(t, "b", invalid.Client)
				require.ErrorContains(t, err, option)
			}
			require.NoError(t, db.Named("c").Ping(t.Context()), "the others are not concerned")
		})
	}
}

func TestOptionsOfOneCallAreAppliedTogether(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(8))
	require.NoError(t, db.Named("a", fxdb.MaxConns(2)).Ping(t.Context()))
	require.NoError(t, db.Named("a", fxdb.Reserve(5), fxdb.MaxConns(6)).Ping(t.Context()))
	require.Equal(t, fxdb.Limits{MaxConns: 6, Reserve: 5}, db.Named("a").Limits())
	require.NoError(t, db.Named("a", fxdb.Weight(3)).Ping(t.Context()))
	require.Equal(t, fxdb.Limits{MaxConns: 6, Reserve: 5, Weight: 3}, db.Named("a").Limits())
}

func TestWithoutSharingThePoolDecides(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, poolOf(2, func(c *fxdb.Config) { c.Sharing = "off" }))
	var off *fxdb.ConfigError
	require.ErrorAs(t, db.SetLimits(fxdb.Limits{MaxConns: 1}), &off)
	require.Equal(t, "DB_SHARING", off.Setting)
	require.ErrorAs(t, db.SetTenantMaxFraction(0.5), &off)
	require.Equal(t, "DB_SHARING", off.Setting)
	require.Zero(t, db.Limits())
	release := holding(t, db, 2)
	refused(t, db, db.Ping)
	release()
	require.NoError(t, db.Pool().Ping(t.Context()))
	require.Zero(t, clientStats(t, db, "app").Usage)
}

func TestLimitsAreIgnoredWithAWarningWhereSharingIsOff(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), Sharing: "off"}, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	require.NoError(t, db.Named("small", fxdb.MaxConns(1), fxdb.Reserve(1)).Ping(t.Context()))
	ignored := logs.FilterMessageSnippet("DB_SHARING is off").All()
	require.Len(t, ignored, 1)
	require.Equal(t, "small", ignored[0].ContextMap()["client"])
	require.Equal(t, []any{"MaxConns(1)", "Reserve(1)"}, ignored[0].ContextMap()["options"])
}

func TestAStopFailsThoseWhoWaitForTheirShare(t *testing.T) {
	t.Parallel()
	db := notesDB(t, poolOf(4))
	small := db.Named("small", fxdb.MaxConns(1))
	tx, err := small.Begin(t.Context())
	require.NoError(t, err)
	waited := make(chan error, 1)
	go func() { waited <- small.Ping(context.Background()) }()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- db.Close(context.Background()) }()
	require.ErrorIs(t, <-waited, fxdb.ErrDraining)
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-closed)
	require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrDraining)
	require.ErrorIs(t, db.Pool().Ping(t.Context()), fxdb.ErrDraining)
}

func TestLimitsThatCantBeMetAreRefusedWhileThePoolRuns(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, poolOf(2)).Named("reports")
	for option, l := range map[string]fxdb.Limits{"MaxConns": {MaxConns: -1}, "Reserve": {Reserve: 2}, "Weight": {Weight: -1}} {
		var refused *fxdb.ConfigError
		require.ErrorAs(t, db.SetLimits(l), &refused, option)
		require.Equal(t, []string{"reports", option}, []string{refused.Client, refused.Setting})
	}
	var refused *fxdb.ConfigError
	require.ErrorAs(t, db.SetTenantMaxFraction(1.5), &refused)
	require.Equal(t, "DB_TENANT_MAX_FRACTION", refused.Setting)
	require.NoError(t, db.SetLimits(fxdb.Limits{MaxConns: 1, Weight: 3}))
	require.Equal(t, fxdb.Limits{MaxConns: 1, Weight: 3}, db.Limits())
}
