package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/testkit"
)

func TestEveryWayToTheDatabaseJoins(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	raw := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 }))
	db, err := store.New("test", raw.Named("test", fxdb.RequireTenant()), "", 0)
	require.NoError(t, err)
	ctx := clienttest.As(t, "acme")
	require.NoError(t, raw.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for way, who := range asked(t, modules.Join(ctx, tx), db) {
			require.Equal(t, "acme", who, way)
		}
		nobody := modules.Join(t.Context(), tx)
		_, err := db.Query(nobody, whoSQL)
		require.ErrorIs(t, err, fxdb.ErrTenantRequired)
		b := &pgx.Batch{}
		b.Queue(whoSQL)
		require.ErrorIs(t, db.SendBatch(nobody, b).Close(), fxdb.ErrTenantRequired)
		require.ErrorIs(t, db.InTx(nobody, pgx.TxOptions{}, func(pgx.Tx) error { return nil }), fxdb.ErrTenantRequired)
		return nil
	}))
	// A default tenant is one to join with, too.
	single, err := store.New("test", raw.Named("test"), "acme", 0)
	require.NoError(t, err)
	require.NoError(t, raw.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for way, who := range asked(t, modules.Join(t.Context(), tx), single) {
			require.Equal(t, "acme", who, way)
		}
		return nil
	}))
}

func TestATransactionThatWasJoinedIsTriedAgainAsAWhole(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	raw := testkit.DB(t)
	db, err := store.New("test", raw, "", 0)
	require.NoError(t, err)
	_, err = testkit.OwnerPool(t, raw).Exec(t.Context(), flakySQL)
	require.NoError(t, err)
	ctx := clienttest.As(t, "acme")
	tries := 0
	require.NoError(t, raw.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		tries++
		_, err := store.Value[int](modules.Join(ctx, tx), db, "select flaky('40001')", nil)
		return modules.Classify(err)
	}))
	require.Equal(t, 2, tries, "not the statement alone: its transaction was over")
}
