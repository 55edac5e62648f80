package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestErrTenantMismatchSaysWhomTheTransactionBeganWith(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, c := range map[string]struct {
		began context.Context
		says  string
	}{
		"none":    {within(t), "the transaction has no tenant"},
		"another": {as(t, "globex"), "a different tenant or user"},
	} {
		tx, err := db.Begin(c.began)
		require.NoError(t, err)
		savepoint, err := tx.Begin(c.began)
		require.NoError(t, err)
		for _, tx := range []pgx.Tx{tx, savepoint} {
			_, err = tx.Exec(as(t, "acme"), "select 1")
			require.ErrorIs(t, err, fxdb.ErrTenantMismatch, name)
			require.ErrorContains(t, err, c.says, name)
		}
		require.NoError(t, tx.Rollback(within(t)))
	}
}

// A program may prepare a statement by name on each connection, as pgx's own examples do
// in AfterConnect.
func TestAStatementPreparedByNameRunsWithATenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: own.Pool().Config().ConnString(), PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	ctx := tenant.System(within(t), "prepares")
	conn, err := db.Acquire(ctx)
	require.NoError(t, err)
	_, err = conn.Conn().Prepare(ctx, "ps1", "select $1::int, coalesce(current_setting('app.current_tenant', true), '')")
	require.NoError(t, err)
	_, err = conn.Conn().Prepare(ctx, "ps2", "insert into notes.plain values ($1, $1::int::text)")
	require.NoError(t, err)
	conn.Release()
	for who, ctx := range map[string]context.Context{"": ctx, "acme": as(t, "acme")} {
		var n int
		var got string
		require.NoError(t, db.QueryRow(ctx, "ps1", 7).Scan(&n, &got), who)
		require.Equal(t, who, got)
		rows, err := db.Query(ctx, "ps1", 7)
		require.NoError(t, err, who)
		rows.Close()
		require.NoError(t, rows.Err(), who)
		_, err = db.Exec(ctx, "ps2", 1+len(who))
		require.NoError(t, err, who)
		b := &pgx.Batch{}
		b.Queue("ps2", 10+len(who))
		require.NoError(t, db.SendBatch(ctx, b).Close(), who)
		_, err = db.Exec(ctx, "ps1", pgx.QueryExecModeExec, 7)
		require.NoError(t, err, who)
	}
}
