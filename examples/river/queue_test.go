package queue

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// started is the application of a test, and the finished jobs.
func started(t *testing.T, opts ...fx.Option) (*fxdb.DB, *Orders, <-chan *river.Event) {
	t.Helper()
	var db *fxdb.DB
	var orders *Orders
	app := fxtest.New(t, fx.NopLogger, fxdb.Module, Module, testkit.Swap(t), fx.Populate(&db, &orders), fx.Options(opts...))
	require.NoError(t, Migrate(t.Context(), testkit.OwnerPool(t, db)))
	done, unsubscribe := orders.river.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	t.Cleanup(unsubscribe)
	app.RequireStart()
	t.Cleanup(func() { app.RequireStop() })
	return db, orders, done
}

func as(t *testing.T, name string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return tenant.NewContext(ctx, tenant.Identity{Tenant: name})
}

func completed(t *testing.T, done <-chan *river.Event) {
	t.Helper()
	select {
	case event := <-done:
		require.Equal(t, river.EventKindJobCompleted, event.Kind, "%+v", event.Job.Errors)
	case <-time.After(time.Minute):
		t.Fatal("no job was done")
	}
}

func shipped(t *testing.T, db *fxdb.DB, ctx context.Context) (orders, times int) {
	t.Helper()
	require.NoError(t, db.QueryRow(ctx, "select count(*), coalesce(sum(shipped), 0) from orders.orders").Scan(&orders, &times))
	return orders, times
}

func TestAJobIsTheTenantsWhoEnqueuedIt(t *testing.T) {
	t.Parallel()
	db, orders, done := started(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	require.NoError(t, orders.Take(acme, "anvil"))
	completed(t, done)
	require.NoError(t, orders.Again(acme, "anvil"))
	completed(t, done)
	n, times := shipped(t, db, acme)
	require.Equal(t, []int{1, 2}, []int{n, times})
	n, _ = shipped(t, db, globex)
	require.Zero(t, n)

	require.Error(t, orders.Take(acme, "anvil"), "the order is there already, so no job is enqueued")
	var jobs int
	require.NoError(t, db.Pool().QueryRow(t.Context(), "select count(*) from river_job").Scan(&jobs))
	require.Equal(t, 2, jobs)
	s := db.Stats()
	require.Zero(t, s.TaintReset+s.TaintClosed, "River's own statements leave nothing: its listener keeps its connection")
}

func TestRiverWithTheContextOfARequest(t *testing.T) {
	t.Parallel()
	t.Run("is refused", func(t *testing.T) {
		t.Parallel()
		_, orders, _ := started(t)
		_, err := orders.river.Insert(as(t, "acme"), Ship{Tenant: "acme", Order: "anvil"}, nil)
		require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
		require.ErrorContains(t, err, "tenant.System")
	})
	t.Run("passes where the raw pool runs without the tenant", func(t *testing.T) {
		t.Parallel()
		db, orders, done := started(t, fxdb.RawPool(fxdb.RawPoolWithoutTenant))
		acme := as(t, "acme")
		require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(acme, "insert into orders.orders (name) values ('anvil')")
			return err
		}))
		_, err := orders.river.Insert(acme, Ship{Tenant: "acme", Order: "anvil"}, nil)
		require.NoError(t, err)
		completed(t, done)
		_, times := shipped(t, db, acme)
		require.Equal(t, 1, times)
	})
}
