package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestErrTenantNotCarriedNamesTheWaysOut(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"InTx", "tenant.System", "InsertTx", "fxdb.RawPool"} {
		require.ErrorContains(t, fxdb.ErrTenantNotCarried, way)
	}
}

// A library that is given the raw pool is called with the context of a request.
func TestRawPoolInsideARequest(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	kept := notesDB(t)
	acme := as(t, "acme")
	_, err := kept.Exec(acme, "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	cfg := fxdb.Config{URL: kept.Pool().Config().ConnString(), PoolMin: 1, PoolMax: 4}

	seen := func(db *fxdb.DB, ctx context.Context) (n int, err error) {
		err = db.Pool().QueryRow(ctx, "select count(*) from notes.notes").Scan(&n)
		return n, err
	}
	for name, opts := range map[string][]fxdb.Option{"by default": nil, "by option": {fxdb.WithRawPool(fxdb.RawPoolRefuses)}} {
		db, err := fxdb.Open(t.Context(), cfg, opts...)
		require.NoError(t, err)
		_, err = seen(db, acme)
		require.ErrorIs(t, err, fxdb.ErrTenantNotCarried, name)
		_, err = seen(db, tenant.System(acme, "the library's own tables"))
		require.NoError(t, err)
		require.NoError(t, db.Close(t.Context()))
	}

	db, err := fxdb.Open(t.Context(), cfg, fxdb.WithRawPool(fxdb.RawPoolWithoutTenant))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	n, err := seen(db, acme)
	require.NoError(t, err)
	require.Zero(t, n, "it ran with the tenant of somebody")
	own := stdlib.OpenDBFromPool(db.Pool())
	defer own.Close()
	require.NoError(t, own.QueryRowContext(acme, "select count(*) from notes.notes").Scan(&n))
	require.Zero(t, n)
	_, err = db.Acquire(acme)
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried, "a bare connection of DB is no library's")
	require.NoError(t, db.QueryRow(acme, "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 1, n)

	_, err = fxdb.Open(t.Context(), cfg, fxdb.WithRawPool("carry"))
	var bad *fxdb.ConfigError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "RawPool", bad.Setting)
}

func TestRawPoolInAGraph(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var main, reporting *fxdb.DB
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t), fx.Populate(&main), populated("reporting", &reporting),
		fxdb.ModuleNamed("reporting", fxdb.RawPool(fxdb.RawPoolWithoutTenant)))
	app.RequireStart()
	defer app.RequireStop()
	require.NoError(t, reporting.Pool().Ping(as(t, "acme")))
	require.ErrorIs(t, main.Pool().Ping(as(t, "acme")), fxdb.ErrTenantNotCarried)

	err := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d"}),
		fxdb.RawPool(fxdb.RawPoolWithoutTenant), fxdb.RawPool(fxdb.RawPoolRefuses)).Err()
	require.ErrorContains(t, err, "fxdb.RawPool is given twice")
}
