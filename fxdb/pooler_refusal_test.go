package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

func TestWhatNeedsASessionIsRefusedBehindAPooler(t *testing.T) {
	t.Parallel()
	_, pooler := behindPooler(t)
	db := openPooled(t, pooler.URL())
	prepared := pgx.QueryExecModeCacheStatement
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		_, err := db.Exec(ctx, "select $1::int", prepared, 1)
		require.ErrorIs(t, err, fxdb.ErrNeedsSession)
		rows, err := db.Query(ctx, "select $1::int", prepared, 1)
		require.ErrorIs(t, err, fxdb.ErrNeedsSession)
		rows.Close()
		require.ErrorIs(t, db.QueryRow(ctx, "select $1::int", pgx.QueryResultFormats{0}, prepared, 1).Scan(new(int)), fxdb.ErrNeedsSession)
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			sp, err := tx.Begin(ctx)
			require.NoError(t, err)
			for _, tx := range []pgx.Tx{tx, sp} {
				_, err := tx.Prepare(ctx, "mine", "select 1")
				require.ErrorIs(t, err, fxdb.ErrNeedsSession)
				_, err = tx.Exec(ctx, "select $1::int", prepared, 1)
				require.ErrorIs(t, err, fxdb.ErrNeedsSession)
			}
			return nil
		}))
	}
	for _, sql := range []string{
		"listen jobs", "  LISTEN jobs", "-- name: Listen :exec\nlisten jobs", "/* x */ unlisten *", "set search_path = a", "SET SESSION statement_timeout = 0",
		"reset all", "discard temp", "prepare p as select 1", "execute p", "deallocate all", "select pg_advisory_lock(1)", "select pg_try_advisory_lock_shared(1)",
		"select set_config('app.current_tenant', 'acme', false)", "SELECT PG_ADVISORY_LOCK(1)", `select "pg_advisory_lock"(1)`, "create temp table t (n int)",
		"select 1 as n into temp t", "declare c cursor with hold for select 1", "load 'plpgsql'", "select 1; set search_path = a", "select 1;;\n-- x\nlisten jobs",
		"do $$ begin set search_path = a; end $$", "create function pg_temp.f() returns int language sql as 'select 1'",
	} {
		for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
			_, err := db.Exec(ctx, sql)
			require.ErrorIs(t, err, fxdb.ErrNeedsSession, sql)
			require.ErrorIs(t, batchOf(ctx, db, "select 1", sql), fxdb.ErrNeedsSession, sql)
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, sql)
				require.ErrorIs(t, err, fxdb.ErrNeedsSession, sql)
				require.ErrorIs(t, batchOf(ctx, tx, "select 1", sql), fxdb.ErrNeedsSession, sql)
				return nil
			}))
		}
	}
	require.NoError(t, db.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, sql := range []string{"SET LOCAL search_path = a", "set constraints all deferred", "select pg_advisory_xact_lock(1)", "", "--",
			"create temp table scratch (n int) on commit drop", "declare c cursor for select 1", "select '; listen jobs', $$; set a = 1$$", "select 'pg_advisory_lock(1)'", "set transaction read only",
		} {
			_, err := tx.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
		}
		return nil
	}))
	_, err := db.Acquire(t.Context())
	require.ErrorIs(t, err, fxdb.ErrNeedsSession)
	require.ErrorContains(t, err, "DB_POOLER")
	_, err = db.Acquire(as(t, "acme"))
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = db.Pool().Exec(t.Context(), "select $1::int", prepared, 1)
	require.ErrorContains(t, err, "disabled statement cache", "pgx's own refusal")
	require.Zero(t, db.Stats().Active)
}
