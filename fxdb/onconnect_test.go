package fxdb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// typed has an enum, a composite of the enum, a domain, and a table of them.
var typed = fstest.MapFS{"00001_typed.sql": {Data: []byte(`-- +goose Up
create schema shop;
create type shop.mood as enum ('glad', 'sad');
create type shop.address as (street text, mood shop.mood);
create domain shop.email as text check (value like '%@%');
create table shop.people (name text primary key, home shop.address, moods shop.mood[], mail shop.email);
insert into shop.people values ('ann', ('High Street', 'glad'), '{glad,sad}', 'ann@h');
-- +goose Down
drop schema shop cascade;
`)}}

var shopTypes = fxdb.LoadTypes("shop.address", "shop.mood", "shop.email", "shop.people")

type (
	address struct{ Street, Mood string }
	person  struct {
		Name  string
		Home  address
		Moods []string
		Mail  string
	}
)

var ann = person{"ann", address{"High Street", "glad"}, []string{"glad", "sad"}, "ann@h"}

// reopen opens a pool with options on own's database.
func reopen(t testing.TB, own *fxdb.DB, change func(*fxdb.Config), opts ...fxdb.Option) *fxdb.DB {
	t.Helper()
	db, err := openOn(t, own.Pool().Config().ConnString(), change, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db
}

func openOn(t testing.TB, url string, change func(*fxdb.Config), opts ...fxdb.Option) (*fxdb.DB, error) {
	t.Helper()
	cfg := fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2}
	if change != nil {
		change(&cfg)
	}
	return fxdb.Open(within(t), cfg, opts...)
}

func TestRegisteredTypesScanIntoStructs(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := testkit.DB(t, testkit.Migrations("shop", typed))
	var p person
	const whole = "select p from shop.people p where name = $1"
	err := own.QueryRow(within(t), whole, "ann").Scan(&p)
	require.ErrorContains(t, err, "cannot scan unknown type", "no hook is needed any more")

	db := reopen(t, own, func(c *fxdb.Config) { c.Dedicated = []string{"reports=1"} }, fxdb.WithOnConnect("types", shopTypes))
	for name, handle := range map[string]*fxdb.DB{"shared": db.Named("shop"), "dedicated": db.Named("reports")} {
		for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
			t.Run(name+" "+who, func(t *testing.T) {
				var p person
				require.NoError(t, handle.QueryRow(ctx, whole, "ann").Scan(&p))
				require.Equal(t, ann, p)

				rows, err := handle.Query(ctx, "select home, moods from shop.people where home = $1::shop.address and moods = $2", ann.Home, ann.Moods)
				require.NoError(t, err)
				homes, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
					Home  address
					Moods []string
				}])
				require.NoError(t, err)
				require.Equal(t, ann.Home, homes[0].Home)

				require.NoError(t, handle.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
					var all []address
					require.NoError(t, tx.QueryRow(ctx, "select array_agg(home) from shop.people").Scan(&all))
					require.Equal(t, []address{ann.Home}, all)
					return nil
				}))
			})
		}
	}
}

// counting counts the statements that load types.
type counting struct{ loads atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if strings.Contains(d.SQL, "typbasetype") {
		c.loads.Add(1)
	}
	return ctx
}

func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The connections read enums at the same time: a codec that they shared would be a race.
func TestTypesAreLoadedOnceForAllConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := testkit.DB(t, testkit.Migrations("shop", typed))
	var c counting
	const conns = 8
	db := reopen(t, own, func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.Dedicated = conns, conns, []string{"reports=2"} },
		fxdb.WithTracer(&c), fxdb.WithOnConnect("types", shopTypes))
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			err := db.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
				for range 20 {
					var p person
					if err := tx.QueryRow(within(t), "select p from shop.people p").Scan(&p); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.NoError(t, db.Named("reports").Ping(within(t)))
	require.GreaterOrEqual(t, db.Stats().Opened, int64(conns))
	require.EqualValues(t, 1, c.loads.Load(), "each connection loaded the types")
}

func TestAConnectionFailsByAHookThatFails(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	plain, super := own.Pool().Config().ConnString(), asSuperuser(t, own).String()
	run := func(sql string) func(context.Context, *pgx.Conn) error {
		return func(ctx context.Context, conn *pgx.Conn) error { _, err := conn.Exec(ctx, sql); return err }
	}
	broken := errors.New("no such thing")
	for name, c := range map[string]struct {
		url  string
		hook func(context.Context, *pgx.Conn) error
		want string
	}{
		"an error":          {plain, func(context.Context, *pgx.Conn) error { return broken }, "no such thing"},
		"a server's error":  {plain, run("select 1/0"), "division by zero"},
		"a panic":           {plain, func(context.Context, *pgx.Conn) error { panic("out of order") }, "panicked: out of order"},
		"a nil map":         {plain, func(context.Context, *pgx.Conn) error { noMap["a"]++; return nil }, "panicked: assignment to entry"},
		"a tenant":          {plain, run("set app.current_tenant = 'acme'"), "set app.current_tenant"},
		"a user":            {plain, run("select set_config('app.current_user', 'ann', false)"), "set app.current_user"},
		"a session's name":  {plain, run("do $$ begin perform set_config('app.current_session', 's', false); end $$"), "set app.current_session"},
		"a role":            {super, run("set role " + devdb.RoleApp), `took the role "` + devdb.RoleApp + `"`},
		"a login":           {super, run("set session authorization " + devdb.RoleApp), `took the login "` + devdb.RoleApp + `"`},
		"an open work":      {plain, run("begin"), "left a transaction open"},
		"a closed one":      {plain, func(ctx context.Context, conn *pgx.Conn) error { return conn.Close(ctx) }, "closed the connection"},
		"a type that isn't": {plain, fxdb.LoadTypes("shop.nowhere"), `no composite type, enum, domain, range or table "shop.nowhere"`},
		"a wait for ever": {plain + "&connect_timeout=1", func(ctx context.Context, _ *pgx.Conn) error { <-ctx.Done(); return ctx.Err() },
			"may take 1s, the connect_timeout"},
		"a wait on the server": {plain + "&connect_timeout=1", run("select pg_sleep(1000)"), "may take 1s, the connect_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := openOn(t, c.url, nil, fxdb.WithOnConnect("the hook", c.hook))
			if err == nil {
				_ = db.Close(context.Background())
			}
			var failed *fxdb.ConnectHookError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, "the hook", failed.Hook)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "fxdb.OnConnect: hook the hook")
		})
	}
}

func TestAConnectionThatAHookFailsIsNotHandedOut(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var fails atomic.Bool
	broken := errors.New("not now")
	db := reopen(t, notesDB(t), nil, fxdb.WithOnConnect("moody", func(context.Context, *pgx.Conn) error {
		if fails.Load() {
			return broken
		}
		return nil
	}))
	fails.Store(true)
	err := db.InTx(within(t), pgx.TxOptions{}, func(pgx.Tx) error { return db.Ping(within(t)) })
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "moody")
	fails.Store(false)
	require.NoError(t, db.InTx(within(t), pgx.TxOptions{}, func(pgx.Tx) error { return db.Ping(within(t)) }))
	require.EqualValues(t, 2, db.Stats().Opened, "the failed one counts")
}

// A start that gives up while a hook runs leaves neither a connection nor a goroutine.
func TestAHookIsBoundedByTheStartAndTheStop(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := fxdb.Open(ctx, fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "slow hook", PoolMin: 1, PoolMax: 1},
			fxdb.WithOnConnect("slow", func(ctx context.Context, conn *pgx.Conn) error {
				if _, err := conn.Exec(ctx, "set statement_timeout = 0"); err != nil {
					return err
				}
				_, err := conn.Exec(ctx, "select pg_sleep(1000)")
				return err
			}))
		opened <- err
	}()
	require.Eventually(t, func() bool { return running(t, own, "slow hook") == 1 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-opened, context.Canceled)
	requireNoBackends(t, own, "slow hook")
}

// running counts the statements of an application that sleep on the server.
func running(t testing.TB, db *fxdb.DB, application string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(within(t),
		"select count(*) from pg_stat_activity where application_name = $1 and state = 'active' and query like '%pg_sleep%'", application).Scan(&n))
	return n
}

func TestWhatAHookLeavesIsTheConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var runs atomic.Int64
	db := reopen(t, notesDB(t), func(c *fxdb.Config) { c.PoolMax = 1 },
		fxdb.WithOnConnect("search path", func(ctx context.Context, conn *pgx.Conn) error {
			runs.Add(1)
			_, err := conn.Exec(ctx, "set search_path to notes, public; set timezone to 'Asia/Tokyo'")
			return err
		}))
	for range 3 {
		var n int
		require.NoError(t, db.QueryRow(within(t), "select count(*) from notes").Scan(&n))
		require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes").Scan(&n))
	}
	require.Zero(t, db.Stats().TaintClosed)
	require.EqualValues(t, 1, runs.Load())
	for i, reset := range []string{"discard all", "reset all", "set search_path to public"} {
		_, err := db.Exec(within(t), reset)
		require.NoError(t, err)
		require.Equal(t, "notes, public", settingOf(t, db, within(t), "search_path"), "after %s", reset)
		require.EqualValues(t, i+2, runs.Load(), "after %s", reset)
	}
}

func TestHooksRunInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	var order []string
	hook := func(name string) fxdb.Option {
		return fxdb.WithOnConnect(name, func(context.Context, *pgx.Conn) error { order = append(order, name); return nil })
	}
	reopen(t, notesDB(t), func(c *fxdb.Config) { c.PoolMax = 1 }, hook("b"), hook("a"), hook("c"))
	require.Equal(t, []string{"a", "b", "c"}, order)
}

func TestHooksWithoutADistinctNameFailTheGraph(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *pgx.Conn) error { return nil }
	for name, c := range map[string]struct {
		opts fx.Option
		want string
	}{
		"blank":       {fxdb.OnConnect(" ", nothing), "blank name"},
		"nil":         {fxdb.OnConnect("types", nil), `hook "types" is nil`},
		"given twice": {fx.Options(fxdb.OnConnect("types", nothing), fxdb.OnConnect("types", nothing)), `hook "types" is given twice`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d"}), c.opts).Err()
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestHooksOfAGraphWorkThroughSwap(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var main, reporting *fxdb.DB
	databases := make(chan string, 9)
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t), fx.Populate(&main), populated("reporting", &reporting),
		fxdb.Migrations("shop", typed), fxdb.OnConnect("types", shopTypes),
		fxdb.ModuleNamed("reporting", fxdb.OnConnect("types", func(ctx context.Context, conn *pgx.Conn) error {
			databases <- conn.Config().Database
			_, err := conn.Exec(ctx, "set search_path to reports")
			return err
		})))
	app.RequireStart()
	defer app.RequireStop()
	var p person
	require.NoError(t, main.QueryRow(within(t), "select p from shop.people p").Scan(&p))
	require.Equal(t, ann, p)
	require.Equal(t, "reports", settingOf(t, reporting, within(t), "search_path"))
	require.Equal(t, reporting.Pool().Config().ConnConfig.Database, <-databases)
	require.Empty(t, databases, "the hook ran on the other pool")
}

func TestAHooksErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, err := openOn(t, urlOf(t), nil, fxdb.WithOnConnect("sum", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "select 1/0")
		return err
	}))
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "22012", pgErr.Code)
}

func TestLoadTypesWorksOnAConnectionOfPgx(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := testkit.DB(t, testkit.Migrations("shop", typed))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, own.Pool().Config().ConnString())
	require.NoError(t, err)
	defer conn.Close(ctx)
	require.NoError(t, shopTypes(ctx, conn))
	var p person
	require.NoError(t, conn.QueryRow(ctx, "select p from shop.people p").Scan(&p))
	require.Equal(t, ann, p)
}

var noMap map[string]int
