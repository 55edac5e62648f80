package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// sessionPool opens a pool of one connection in session mode, with a row of acme's.
func sessionPool(t *testing.T, url string, change ...func(*fxdb.Config)) *fxdb.DB {
	t.Helper()
	return sessionPoolWith(t, url, nil, change...)
}

func sessionPoolWith(t *testing.T, url string, opts []fxdb.Option, change ...func(*fxdb.Config)) *fxdb.DB {
	t.Helper()
	cfg := fxdb.Config{URL: url, PoolMin: 1, PoolMax: 1}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(t.Context(), cfg, append(opts, fxdb.WithRawPool(fxdb.RawPoolSession))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	return db
}

const askSession = "select (select count(*) from notes.notes) || ' ' || coalesce(current_setting('app.current_tenant', true), '') || '/' || " +
	"coalesce(current_setting('app.current_user', true), '') || '/' || coalesce(current_setting('app.current_session', true), '') || ' ' || current_setting('role')"

func TestTheRawPoolCarriesATenantInItsSession(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := sessionPool(t, notesDB(t).Pool().Config().ConnString())
	ask := func(ctx context.Context) (state string) {
		t.Helper()
		require.NoError(t, db.Pool().QueryRow(ctx, askSession).Scan(&state))
		return state
	}
	before := backendOf(t, db)
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme", User: "ann", Session: "token"})
	require.Equal(t, "1 acme/ann/token none", ask(acme))
	require.Equal(t, "0 globex// none", ask(as(t, "globex")))
	require.Equal(t, "0 // none", ask(t.Context()), "nobody got the last holder's identity")
	require.Equal(t, "1 acme/ann/token none", ask(acme))
	require.Equal(t, "0 // none", ask(tenant.System(acme, "the library's own tables")))
	require.Equal(t, "1 acme/ann/token none", ask(acme))
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	var state string
	require.NoError(t, conn.QueryRow(t.Context(), askSession).Scan(&state))
	conn.Release()
	require.Equal(t, "0 // none", state, "Acquire got the last holder's identity")
	require.NoError(t, db.Pool().QueryRow(acme, askSession).Scan(&state))
	require.Equal(t, before, backendOf(t, db), "the pool closed a connection to undo an identity")

	_, err = db.Pool().Exec(tenant.NewContext(t.Context(), tenant.Identity{}), "select 1")
	require.ErrorIs(t, err, tenant.ErrInvalid)
	_, err = db.Acquire(acme)
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried, "a bare connection of DB refuses in every mode")
}

func TestARawSessionTakesOneMoreRoundTripAndItsUndoAnother(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := sessionPoolWith(t, w.URL, []fxdb.Option{noPings()})
	ask := func(ctx context.Context) func() error {
		return func() error { _, err := db.Pool().Exec(ctx, "select 1"); return err }
	}
	require.NoError(t, ask(t.Context())())
	require.EqualValues(t, 1, w.during(t, ask(t.Context())), "without a tenant")
	require.EqualValues(t, 2, w.during(t, ask(as(t, "acme"))), "with a tenant")
	require.EqualValues(t, 3, w.during(t, ask(as(t, "acme"))), "with a tenant, after a tenant")
	require.EqualValues(t, 2, w.during(t, ask(t.Context())), "without a tenant, after a tenant")
	require.EqualValues(t, 1, w.during(t, ask(t.Context())), "without a tenant again")
}

// A connection that a library keeps serves one identity.
func TestARawSessionRefusesAnotherTenantsStatement(t *testing.T) {
	t.Parallel()
	db := sessionPool(t, notesDB(t).Pool().Config().ConnString())
	for held, other := range map[string]context.Context{"acme": as(t, "globex"), "": as(t, "acme")} {
		ctx := t.Context()
		if held != "" {
			ctx = as(t, held)
		}
		conn, err := db.Pool().Acquire(ctx)
		require.NoError(t, err)
		var n int
		for door, err := range map[string]error{
			"Exec":      func() error { _, err := conn.Exec(other, "select 1"); return err }(),
			"QueryRow":  conn.QueryRow(other, "select count(*) from notes.notes").Scan(&n),
			"SendBatch": batchOf(other, conn, "select 1", "select 2"),
			"CopyFrom": func() error {
				_, err := conn.CopyFrom(other, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
				return err
			}(),
			"Prepare": func() error { _, err := conn.Conn().Prepare(other, "mine", "select 1"); return err }(),
		} {
			require.ErrorIs(t, err, fxdb.ErrTenantMismatch, "%s on a connection of %q", door, held)
		}
		require.NoError(t, conn.QueryRow(ctx, "select 1").Scan(&n), "the holder goes on")
		conn.Release()
	}
	// database/sql hands a connection from one caller to a waiting caller, without an acquire.
	pool := stdlib.OpenDBFromPool(db.Pool())
	defer pool.Close()
	pool.SetMaxIdleConns(1)
	var n int
	require.NoError(t, pool.QueryRowContext(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 1, n)
	err := pool.QueryRowContext(as(t, "globex"), "select count(*) from notes.notes").Scan(&n)
	require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
}

// The pool pings an idle connection for its next holder, while the session still has the last
// holder's identity.
func TestARawSessionOutlivesThePingForAnotherTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pings := fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
		return nil
	})
	db := sessionPoolWith(t, notesDB(t).Pool().Config().ConnString(), []fxdb.Option{pings})
	before := backendOf(t, db)
	for _, who := range []string{"acme", "globex", "acme"} {
		_, err := db.Pool().Exec(as(t, who), "select 1")
		require.NoError(t, err)
	}
	require.Equal(t, before, backendOf(t, db), "a ping cost the connection")
}

// What goes wrong with a holder leaves the identity to nobody.
func TestARawSessionsIdentityEndsWithItsHolder(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, conn *pgxpool.Conn, w *wire){
		"an open transaction": func(t *testing.T, conn *pgxpool.Conn, _ *wire) {
			_, err := conn.Exec(as(t, "acme"), "begin")
			require.NoError(t, err)
		},
		"a tainting text": func(t *testing.T, conn *pgxpool.Conn, _ *wire) {
			_, err := conn.Exec(as(t, "acme"), "set app.\"current_user\" = 'mallory'")
			require.NoError(t, err)
		},
		"a cut network":   func(_ *testing.T, _ *pgxpool.Conn, w *wire) { w.cutNow() },
		"an undo cut off": func(_ *testing.T, _ *pgxpool.Conn, w *wire) { w.cutAt(`reset "app"."current_tenant"`, false) },
		"an undo without an answer": func(_ *testing.T, _ *pgxpool.Conn, w *wire) {
			w.cutAt(`reset "app"."current_tenant"`, true)
		},
		"a panic": func(_ *testing.T, conn *pgxpool.Conn, _ *wire) {
			defer func() { _ = recover() }()
			panic("on purpose")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, 0)
			db := sessionPool(t, w.URL)
			conn, err := db.Pool().Acquire(as(t, "acme"))
			require.NoError(t, err)
			leave(t, conn, w)
			conn.Release()
			var state string
			require.NoError(t, db.Pool().QueryRow(within(t), askSession).Scan(&state))
			require.Equal(t, "0 // none", state)
		})
	}
}

func TestADrainEndsARawSession(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	base := notesDB(t)
	db := sessionPool(t, base.Pool().Config().ConnString(), func(c *fxdb.Config) { c.DrainTimeout = 100 * time.Millisecond })
	conn, err := db.Pool().Acquire(as(t, "acme"))
	require.NoError(t, err)
	var pid uint32
	require.NoError(t, conn.QueryRow(as(t, "acme"), "select pg_backend_pid()").Scan(&pid))
	require.Error(t, db.Close(t.Context()), "the drain names the holder")
	conn.Release()
	require.Eventually(t, func() bool {
		var lives bool
		require.NoError(t, base.QueryRow(within(t), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&lives))
		return !lives
	}, patience, time.Millisecond, "the session with the identity lives on")
}

// A privileged login meets the policies in session mode too, as DB_TENANT_ROLE.
func TestARawSessionTakesTheTenantRole(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	base := notesDB(t, testkit.Config(one))
	db := sessionPool(t, asSuperuser(t, base).String(), func(c *fxdb.Config) { c.TenantRole = devdb.RoleApp })
	var state string
	require.NoError(t, db.Pool().QueryRow(as(t, "globex"), askSession).Scan(&state))
	require.Equal(t, "0 globex// "+devdb.RoleApp, state)
	require.NoError(t, db.Pool().QueryRow(t.Context(), askSession).Scan(&state))
	require.Equal(t, "1 // none", state, "without a tenant the raw pool runs as the login")
}

func TestARawSessionNeedsASession(t *testing.T) {
	t.Parallel()
	_, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://h/d", Pooler: fxdb.PoolerTransaction}, fxdb.WithRawPool(fxdb.RawPoolSession))
	var bad *fxdb.ConfigError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "DB_POOLER", bad.Setting)
}
