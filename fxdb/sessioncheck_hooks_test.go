package fxdb_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func check(c *fxdb.Config) { one(c); c.SessionCheck = true }

// asking is a tracer that asks the server behind each statement outside of a transaction.
type asking struct {
	asked atomic.Int64
	t     *testing.T
}

type asks struct{}

func (*asking) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (a *asking) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if ctx.Value(asks{}) != nil || data.Err != nil || conn.PgConn().IsBusy() || conn.PgConn().TxStatus() != 'I' {
		return
	}
	var n int
	if err := conn.QueryRow(context.WithValue(ctx, asks{}, true), "select 3").Scan(&n); err != nil || n != 3 {
		a.t.Errorf("a tracer: %d, %v", n, err)
	}
	a.asked.Add(1)
}

func TestHooksAndTracersMayUseACheckedConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own, tracer := carriersDB(t), &asking{t: t}
	var released, closed atomic.Int64
	var leave atomic.Bool
	note := func(count *atomic.Int64, err error) bool {
		count.Add(1)
		if err != nil {
			t.Errorf("a hook: %v", err)
		}
		return err == nil
	}
	db, find := checked(t, own, true, fxdb.WithTracer(tracer), fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.AfterRelease = func(conn *pgx.Conn) bool {
			if leave.Swap(false) {
				_, err := conn.Exec(context.Background(), carriers[0], "a setting")
				return note(&released, err)
			}
			_, err := conn.PgConn().Exec(context.Background(), "select 1; select 2").ReadAll()
			return note(&released, err)
		}
		pc.BeforeClose = func(conn *pgx.Conn) {
			_, err := conn.Exec(context.Background(), "select 3")
			note(&closed, err)
		}
		return nil
	}))
	clean := find()
	for range 2 {
		require.NoError(t, db.QueryRow(as(t, "acme"), "select $1::text", "x").Scan(new(string)))
		_, err := db.Exec(within(t), "select 1")
		require.NoError(t, err)
		require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(as(t, "acme"), "select 1"); return err }))
		require.NoError(t, batchOf(as(t, "acme"), db, "select 1", "select 2"))
	}
	require.EqualValues(t, 1, db.Stats().Opened)
	require.Zero(t, db.Stats().TaintClosed)

	leave.Store(true)
	require.NoError(t, db.Ping(within(t)))
	require.Equal(t, clean, find(), "a hook has left a setting")
	require.EqualValues(t, 1, db.Stats().TaintClosed)
	require.NoError(t, db.Close(context.Background()))
	require.NotZero(t, released.Load())
	require.EqualValues(t, 2, closed.Load())
	require.NotZero(t, tracer.asked.Load())
}

func TestACleanedSessionIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, _ := checked(t, notesDB(t, testkit.Config(one)), true, fxdb.WithOnConnect("objects", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create temp table if not exists own (n int); prepare own as select 1")
		return err
	}))
	_, err := db.Exec(within(t), "set work_mem = '3MB'")
	require.NoError(t, err)
	for range 3 {
		require.NotEqual(t, "3MB", settingOf(t, db, as(t, "acme"), "work_mem"))
	}
	stats := db.Stats()
	require.EqualValues(t, 1, stats.Opened)
	require.EqualValues(t, 1, stats.TaintReset)
	require.Zero(t, stats.TaintClosed)
}

func TestTheSettingsOfALoginRoleAreNotLeft(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := carriersDB(t)
	admin, err := pgx.Connect(within(t), asSuperuser(t, own).String())
	require.NoError(t, err)
	defer admin.Close(context.Background())
	preset := "alter role " + devdb.RoleApp + " in database " + pgx.Identifier{own.Pool().Config().ConnConfig.Database}.Sanitize() + " set "
	_, err = admin.Exec(within(t), preset+"search_path = notes, public; "+preset+"app.current_tenant = 'preset'; "+preset+"work_mem = '5MB'")
	require.NoError(t, err)
	db, find := checked(t, own, true)
	clean := find()
	for _, ctx := range []context.Context{as(t, "acme"), within(t), as(t, "globex")} {
		require.Equal(t, "5MB", settingOf(t, db, ctx, "work_mem"))
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err }))
		require.Equal(t, clean, find())
	}
	require.EqualValues(t, 1, db.Stats().Opened)
	require.NoError(t, db.QueryRow(as(t, "acme"), carriers[0], "a tenant").Scan(new(string)))
	require.Equal(t, clean, find())
	require.EqualValues(t, 1, db.Stats().TaintClosed)
}

func TestADedicatedPoolChecksSessionsToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := reopen(t, carriersDB(t), func(c *fxdb.Config) { check(c); c.Dedicated = []string{"own=1"} })
	client := db.Named("own")
	require.NoError(t, client.QueryRow(as(t, "acme"), carriers[0], "a setting").Scan(new(string)))
	require.NotEqual(t, "3MB", settingOf(t, client, within(t), "work_mem"))
	require.EqualValues(t, 1, db.Stats().Dedicated[0].TaintClosed)
}

// A statement that the caller gives up breaks the connection, and pgx says goodbye in a goroutine.
func TestACheckedConnectionMayBreak(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	db, _ := checked(t, own, true)
	for name, use := range map[string]func(ctx context.Context) error{
		"Exec":     func(ctx context.Context) error { _, err := db.Exec(ctx, "select pg_sleep(60)"); return err },
		"QueryRow": func(ctx context.Context) error { return db.QueryRow(ctx, "select 1 from pg_sleep(60)").Scan(new(int)) },
		"InTx": func(ctx context.Context) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select pg_sleep(60)"); return err })
		},
		"the raw pool": func(ctx context.Context) error {
			_, err := db.Pool().Exec(tenant.System(context.WithoutCancel(ctx), "raw"), "select 1")
			if err == nil {
				_, err = db.Exec(ctx, "select pg_sleep(60)")
			}
			return err
		},
	} {
		ctx, cancel := context.WithCancel(as(t, "acme"))
		ended := make(chan error, 1)
		go func() { ended <- use(ctx) }()
		require.Eventually(t, func() bool {
			var runs bool
			err := own.Pool().QueryRow(within(t), "select exists (select from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(60)%' and pid <> pg_backend_pid())").Scan(&runs)
			return err == nil && runs
		}, time.Minute, 5*time.Millisecond, name)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled, name)
		_, err := db.Exec(as(t, "acme"), "select 1")
		require.NoError(t, err, name)
	}
	require.Zero(t, db.Stats().TaintClosed)
}

func TestAStopDoesNotWaitForALook(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.open(t, check)
	_, err := db.Exec(as(t, "acme"), "select 1") // takes its look along
	require.NoError(t, err)
	arrive := holdLook(w)
	defer arrive()
	_, err = db.Pool().Exec(within(t), "select 2")
	require.NoError(t, err)
	require.NoError(t, db.Close(within(t)))
	require.Zero(t, db.Stats().Total)
}
