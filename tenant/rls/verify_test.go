package rls_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgbouncer"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

// All of them are asked alike.
var (
	_ rls.Querier = (*pgxpool.Pool)(nil)
	_ rls.Querier = (*pgx.Conn)(nil)
	_ rls.Querier = (pgx.Tx)(nil)
	_ rls.Querier = (*fxdb.DB)(nil)
)

func TestVerifyOverEveryKindOfConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `create schema shop;
		create table shop.orders (tenant_id text not null, id bigint not null, primary key (tenant_id, id));
		create table shop.open (tenant_id text primary key)`+";"+
		rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id"}))
	require.NoError(t, err)

	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())

	// An identity does not matter, and a client that requires one is content.
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	for name, q := range map[string]rls.Querier{
		"DB": db, "a client": db.Named("strict", fxdb.RequireTenant()), "pool": db.Pool(), "connection": conn.Conn(), "transaction": tx,
	} {
		r, err := rls.Verify(acme, q)
		require.NoError(t, err, name)
		require.Len(t, r.Findings, 1, "%s: %s", name, r)
		require.Equal(t, "table-rls-off", r.Findings[0].Code, name)
		require.Equal(t, "shop.open", r.Findings[0].Object, name)
		require.Equal(t, []string{"shop.open", "shop.orders"}, r.Tables, name)
	}
	// The transaction goes on as it was: it may write.
	_, err = tx.Exec(t.Context(), "insert into shop.open values ('acme')")
	require.NoError(t, err)
}

func TestVerifySeesWhatStaysOnAConnection(t *testing.T) {
	t.Parallel()
	p := newDatabase(t, shop)

	t.Run("a tenant of the session", func(t *testing.T) {
		t.Parallel()
		conn := p.connect(t, p.app)
		_, err := conn.Exec(t.Context(), "set app.current_tenant = 'acme'")
		require.NoError(t, err)
		r, err := rls.Verify(t.Context(), conn)
		require.NoError(t, err)
		require.Contains(t, codes(r), "setting-left-over")
	})
	t.Run("a pool that sets it on acquire", func(t *testing.T) {
		t.Parallel()
		r, err := rls.Verify(t.Context(), &forgetful{p.connect(t, p.app)})
		require.NoError(t, err)
		require.Contains(t, codes(r), "setting-survives")
		require.False(t, r.OK())
	})
	t.Run("no timeouts", func(t *testing.T) {
		t.Parallel()
		conn, err := pgx.Connect(t.Context(), p.server.DatabaseURL(p.app, p.database))
		require.NoError(t, err)
		defer conn.Close(context.Background())
		r, err := rls.Verify(t.Context(), conn)
		require.NoError(t, err)
		require.Contains(t, codes(r)["timeout-off"].Consequence, "statement_timeout")
		require.True(t, r.OK())
	})
	t.Run("no limit on a statement alone", func(t *testing.T) {
		t.Parallel()
		for setting, level := range map[string]rls.Level{"statement_timeout": "warn", "lock_timeout": "note", "idle_in_transaction_session_timeout": "warn"} {
			conn := p.connect(t, p.app)
			_, err := conn.Exec(t.Context(), "set "+setting+" = 0")
			require.NoError(t, err)
			r, err := rls.Verify(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, level, codes(r)["timeout-off"].Level, setting)
		}
	})
	t.Run("a table too long to read", func(t *testing.T) {
		t.Parallel()
		p := newFixture(t)
		p.exec(t, `create function shop.slow() returns text language plpgsql stable as $$ begin
				perform pg_sleep(60); return nullif(current_setting('app.current_tenant', true), ''); end $$;
			alter policy tenant_select on shop.lines using (tenant_id = (select shop.slow()))`)
		r := p.verify(t, rls.ProbeTimeout("100ms"))
		require.True(t, r.OK(), r.String())
		require.Equal(t, "shop.lines", codes(r)["probe-timeout"].Object, r.String())
	})
}

func TestVerifySeesThatSomethingStandsBetween(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := newDatabase(t, shop)
	t.Run("a pooler", func(t *testing.T) {
		t.Parallel()
		cfg, err := pgx.ParseConfig(pgbouncer.Start(t, p.server.DatabaseURL(p.app, p.database)).URL())
		require.NoError(t, err)
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		cfg.RuntimeParams["application_name"] = "shop"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		r, err := rls.Verify(t.Context(), conn)
		require.NoError(t, err)
		require.Equal(t, rls.LevelNote, codes(r)["pooler"].Level, r.String())
		require.Equal(t, p.database, codes(r)["pooler"].Object)
		require.True(t, r.OK(), r.String())
	})
	for name, c := range map[string]struct {
		asked, shown string
		lost         bool
	}{
		"a name that was kept":         {"shop", "shop", false},
		"a name that was lost":         {"shop", "proxy", true},
		"a name that is a beginning":   {"shop", "shopping", true},
		"a client's name":              {"shop", "shop/agents", false},
		"no name":                      {"", "proxy", false},
		"a name that the server cuts":  {strings.Repeat("x", 70), strings.Repeat("x", 63), false},
		"a name that the server can't": {"Läden", "L??den", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := p.connect(t, p.app).Config()
			if cfg.RuntimeParams["application_name"] = c.asked; c.asked == "" {
				delete(cfg.RuntimeParams, "application_name")
			}
			conn, err := pgx.ConnectConfig(t.Context(), cfg)
			require.NoError(t, err)
			defer conn.Close(context.Background())
			_, err = conn.Exec(t.Context(), "select set_config('application_name', $1, false)", c.shown) // as what stands between would
			require.NoError(t, err)
			r, err := rls.Verify(t.Context(), conn)
			require.NoError(t, err)
			_, found := codes(r)["pooler"]
			require.Equal(t, c.lost, found, r.String())
		})
	}
}

func TestVerifyReadsTheRowsThatThereAre(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, c := range map[string]struct{ using, code string }{
		"rows without a tenant":         {"nullif((select current_setting('app.current_tenant', true)), '') is null", "rows-without-tenant"},
		"rows of others":                {"nullif((select current_setting('app.current_tenant', true)), '') is not null", "rows-of-others"},
		"rows of others by what is set": {"total > 10", "rows-of-others"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFixture(t)
			p.exec(t, "reset role; update shop.orders set total = 11")
			require.Empty(t, p.verify(t).Findings)
			p.exec(t, "alter policy tenant_select on shop.orders using ("+mine+" or "+c.using+")")
			r := p.verify(t)
			require.False(t, r.OK())
			f, found := codes(r)[c.code]
			require.True(t, found, r.String())
			require.Equal(t, "shop.orders", f.Object)
			require.Equal(t, rls.LevelError, f.Level)
			require.Equal(t, rls.FailOpen, f.Direction)
			p.exec(t, "reset role; delete from shop.lines; delete from shop.orders")
			require.NotContains(t, codes(p.verify(t)), c.code, "without rows there is nothing to see")
			p.exec(t, "reset role; insert into shop.orders (tenant_id, id, total) values ('acme', 1, 11);\n"+f.Fix)
			require.Empty(t, p.verify(t).Findings)
		})
	}
}

func TestVerifyFindsATenantPresetForAllRoles(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := newSharedFixture(t) // other tests' connections must not have the setting
	p.exec(t, "reset role; alter role all set app.current_tenant = 'acme'")
	r := p.verify(t)
	require.False(t, r.OK())
	f := codes(r)["setting-preset"]
	require.Equal(t, "all roles", f.Object, r.String())
	require.Equal(t, rls.LevelError, f.Level)
	p.exec(t, "reset role;\n"+f.Fix)
	require.NotContains(t, codes(p.verify(t)), "setting-preset")
}

// forgetful is a pool of one connection that sets the tenant for the session
// once a transaction has ended, as hand-written ones do.
type forgetful struct{ *pgx.Conn }

func (f *forgetful) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	_, _ = f.Exec(ctx, "set app.current_tenant = 'acme'")
	return f.Conn.QueryRow(ctx, sql, args...)
}

func TestAllowedFindingsStayInTheReport(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := newFixture(t)
	p.exec(t, "grant truncate on shop.orders, shop.lines to $APP")

	r := p.verify(t, rls.Allow("privilege-truncate", "shop.orders", "the nightly reset"))
	require.Equal(t, 1, r.Count(rls.LevelError), r.String())
	require.ErrorContains(t, r.Err(), "privilege-truncate shop.lines")
	require.NotContains(t, r.Err().Error(), "shop.orders")

	r = p.verify(t, rls.Allow("privilege-truncate", "*", "the nightly reset"))
	require.Len(t, r.Findings, 2)
	require.True(t, r.OK())
	require.Equal(t, "the nightly reset", r.Findings[0].Allowed)
	require.Contains(t, r.String(), "reason: the nightly reset")
}

func TestVerifyRefusesOptionsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	for name, c := range map[string]struct {
		opt  rls.VerifyOption
		want string
	}{
		"no reason":       {rls.Allow("matview", "shop.m", " "), "no reason"},
		"no object":       {rls.Allow("matview", "", "because"), "no object"},
		"an unknown code": {rls.Allow("matviews", "*", "because"), `"matviews": unknown code`},
		"no table":        {rls.Tables(rls.Table{}), "is empty"},
		"a bad table":     {rls.Tables(rls.Table{Name: "a.b.c"}), "more than two parts"},
		"a bad column":    {rls.Column(""), "is empty"},
		"an unknown role": {rls.Role("nobody_at_all"), "nobody_at_all"},
	} {
		_, err := rls.Verify(t.Context(), db, c.opt)
		require.ErrorContains(t, err, c.want, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rls.Verify(ctx, db)
	require.ErrorIs(t, err, context.Canceled)
}

func TestVerifyFailsWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "postgres://nobody@" + l.Addr().String() + "/none"
	require.NoError(t, l.Close())
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	_, err = rls.Verify(t.Context(), pool)
	require.ErrorContains(t, err, "verify tenancy")
}
