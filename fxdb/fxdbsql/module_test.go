package fxdbsql_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestModuleGivesEachPlaceItsClientsDB(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, _ := open(t)
	type orders struct{ db *sql.DB }
	var (
		db     *sql.DB
		client *orders
		root   *fxdb.DB
	)
	app := fxtest.New(t,
		fxdb.Module, fx.Replace(fxdb.Config{URL: pool.Pool().Config().ConnString(), PoolMax: 4}),
		fxdbsql.Module,
		fx.Module("orders",
			fxdb.Named("orders", fxdb.RequireTenant()),
			fxdbsql.Module,
			fx.Provide(func(db *sql.DB) *orders { return &orders{db} }),
		),
		fx.Populate(&db, &client, &root),
	)
	require.ErrorIs(t, db.Ping(), fxdb.ErrNotStarted)
	_, err := client.db.ExecContext(as(t, "acme"), "select 1")
	require.ErrorIs(t, err, fxdb.ErrNotStarted)

	app.RequireStart()
	require.NoError(t, db.QueryRow("select 1").Scan(new(int)))
	require.ErrorIs(t, client.db.QueryRow("select 1").Scan(new(int)), fxdb.ErrTenantRequired)
	require.Equal(t, "acme", tenantOf(t, client.db, as(t, "acme")))
	require.EqualValues(t, 1, clientStats(t, root, "app").Acquired)
	require.EqualValues(t, 1, clientStats(t, root, "orders").Acquired)

	app.RequireStop()
	require.ErrorContains(t, db.Ping(), "database is closed")
	require.ErrorContains(t, client.db.Ping(), "database is closed")
}

// A client that is declared with fxdb.Client may be given the root's, or open its own.
func TestModuleAtTheRootIsEverybodys(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var same, root *sql.DB
	app := fxtest.New(t, fxdb.Module, fxdbsql.Module, testkit.Swap(t),
		fx.Module("inner", fx.Invoke(func(db *sql.DB) { same = db })), fx.Populate(&root))
	app.RequireStart()
	defer app.RequireStop()
	require.Same(t, root, same)
	require.NoError(t, root.Ping())
}

// Work that the application's own hooks still do at stop finds its *sql.DB open.
func TestModuleIsClosedAfterItsUsersAndBeforeThePool(t *testing.T) {
	size.SkipShort(t)
	pool, _ := open(t)
	ignore := goleak.IgnoreCurrent()
	var tx *sql.Tx
	var db *sql.DB
	last := errors.New("the hook did not run")
	app := fxtest.New(t,
		fxdb.Module, fx.Replace(fxdb.Config{URL: pool.Pool().Config().ConnString(), PoolMax: 4}),
		fxdbsql.Module,
		fx.Populate(&db),
		fx.Invoke(func(lc fx.Lifecycle, db *sql.DB) {
			lc.Append(fx.StopHook(func(ctx context.Context) error {
				_, last = db.ExecContext(ctx, "select 'bye'")
				return nil
			}))
		}),
	)
	app.RequireStart()
	tx, err := db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- app.Stop(context.Background()) }()
	require.Eventually(t, func() bool {
		err := db.Ping()
		return err != nil && !errors.Is(err, fxdb.ErrDraining) // closed
	}, patience, tick)
	require.NoError(t, tx.Commit(), "work in flight may finish")
	require.NoError(t, <-stopped)
	require.NoError(t, last)
	goleak.VerifyNone(t, ignore)
}
