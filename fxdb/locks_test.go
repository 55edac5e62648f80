package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAnAdvisoryLockOfThePoolsIsWarnedOfOnceAClient(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: urlOf(t), PoolMin: 1, PoolMax: 2}, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	warned := func() int { return logs.FilterMessageSnippet("advisory").Len() }
	for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
		"Exec": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "select pg_advisory_lock(42)")
			return err
		},
		"Query": func(ctx context.Context, db *fxdb.DB) error {
			rows, err := db.Query(ctx, "SELECT PG_TRY_ADVISORY_LOCK($1)", 42)
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		},
		"QueryRow": func(ctx context.Context, db *fxdb.DB) error {
			var got bool
			return db.QueryRow(ctx, "select pg_advisory_unlock(42)").Scan(&got)
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue("select pg_advisory_lock_shared(42)")
			return db.SendBatch(ctx, b).Close()
		},
		"another spelling": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "select Pg_Advisory_Lock(42)")
			return err
		},
		"a transaction": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select pg_advisory_lock(42)")
				return err
			})
		},
		"a savepoint's batch": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return batchOf(ctx, tx, "select pg_advisory_lock(42)") })
			})
		},
		"database/sql": func(ctx context.Context, db *fxdb.DB) error {
			sqlDB := fxdbsql.Open(db)
			defer sqlDB.Close()
			_, err := sqlDB.ExecContext(ctx, "select pg_advisory_lock(42)")
			return err
		},
	} {
		for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
			client := db.Named(name + " of " + who)
			_, err := client.Exec(ctx, "select pg_advisory_xact_lock(1), 'pg_advisory_lock(1)'")
			require.NoError(t, err)
			before := warned()
			for range 2 {
				require.NoError(t, use(ctx, client), name)
			}
			require.Equal(t, before+1, warned(), "%s of %s", name, who)
		}
	}
	before := warned()
	held := db.Named("holder")
	conn, err := held.Acquire(within(t))
	require.NoError(t, err)
	_, err = conn.Exec(within(t), "select pg_advisory_lock(42)")
	require.NoError(t, err)
	conn.Release()
	require.Equal(t, before, warned(), "on a connection of Acquire the lock lasts")
	require.NoError(t, held.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
		return batchOf(within(t), tx, "select pg_advisory_lock(42)", "select pg_advisory_unlock(42)")
	}))
	require.Equal(t, before, warned(), "released in its transaction")
	sqlDB := fxdbsql.Open(held)
	sqlConn, err := sqlDB.Conn(within(t))
	require.NoError(t, err)
	for _, sql := range []string{"select pg_advisory_lock(42)", "select pg_advisory_unlock(42)"} {
		_, err = sqlConn.ExecContext(within(t), sql)
		require.NoError(t, err)
	}
	require.NoError(t, sqlConn.Close())
	require.NoError(t, sqlDB.Close())
	require.Equal(t, before, warned(), "on a *sql.Conn the lock lasts")
	last := logs.FilterMessageSnippet("ends with the statement").All()[0]
	require.Contains(t, last.Message, "Acquire")
	require.Contains(t, last.Message, "pg_advisory_xact_lock")
}
