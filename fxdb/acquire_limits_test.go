package fxdb_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func limitsOf(t testing.TB, conn *pgxpool.Conn) (all [3]string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(within(t), "select current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')").
		Scan(&all[0], &all[1], &all[2]))
	return all
}

// What can't run in a transaction needs a bare connection, and its client's limits there.
func TestAnAcquiredConnectionHasItsClientsLimitsAndTheNextHolderHasNot(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	db := another(t, own, "")
	pools := limits(t, db)
	migrations := db.Named("migrations", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: -1, Lock: 90 * time.Second}))
	for range 2 {
		conn, err := migrations.Acquire(within(t))
		require.NoError(t, err)
		require.Equal(t, [3]string{"0", "90s", pools[2]}, limitsOf(t, conn))
		_, err = conn.Exec(within(t), "set idle_in_transaction_session_timeout = '3s'")
		require.NoError(t, err)
		_, err = conn.Exec(within(t), "vacuum notes.plain")
		require.NoError(t, err, "it can't run in a transaction")
		conn.Release()
		rows, err := migrations.Query(within(t), "vacuum notes.plain")
		require.NoError(t, err)
		rows.Close()
		require.NoError(t, rows.Err(), "by Query as by Exec")

		require.Equal(t, pools, limits(t, db), "the next client has the limits of the last one")
		conn, err = db.Acquire(within(t))
		require.NoError(t, err)
		require.Equal(t, pools, limitsOf(t, conn))
		conn.Release()
	}
	conn, err := migrations.Acquire(within(t))
	require.NoError(t, err)
	conn.Release()
	raw, err := db.Pool().Acquire(within(t))
	require.NoError(t, err)
	require.Equal(t, pools, limitsOf(t, raw), "the raw pool's holder has another client's limits")
	raw.Release()
}

// A connection that died while it was idle is made up for, as in every other use.
func TestAnAcquireWithLimitsMakesUpForALostConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.open(t)
	client := db.Named("migrations", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Hour}))
	w.cutAt("set_config", false)
	conn, err := client.Acquire(within(t))
	require.NoError(t, err)
	require.Equal(t, "1h", limitsOf(t, conn)[0])
	conn.Release()
	require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond)
}

// Every method of a client with limits runs what can't run in a transaction, as pgx does.
func TestWhatCantRunInATransactionRunsByEveryMethod(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	plain := plainPool(t, db)
	before, limited := limits(t, db), db.Named("migrations", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: -1, Lock: 90 * time.Second}))
	sqlDB := fxdbsql.Open(limited)
	defer sqlDB.Close()
	ctx := within(t)
	uses := map[string]func(db asker, sql string) error{
		"Exec": func(db asker, sql string) error { _, err := db.Exec(ctx, sql); return err },
		"Query": func(db asker, sql string) error {
			rows, err := db.Query(ctx, sql)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		},
		"QueryRow":            func(db asker, sql string) error { return db.QueryRow(ctx, sql).Scan() },
		"a batch":             func(db asker, sql string) error { return batchOf(ctx, db, sql) },
		"in front of a batch": func(db asker, sql string) error { return batchOf(ctx, db, sql, "select 1") },
		"behind in a batch":   func(db asker, sql string) error { return batchOf(ctx, db, "select 1", sql) },
	}
	for _, sql := range []string{
		"vacuum notes.plain", "VACUUM (ANALYZE) notes.plain", "create index concurrently i on notes.plain (body)",
		"drop index concurrently if exists notes.missing", "reindex table concurrently notes.plain", "create database onepool_missing", "drop database if exists onepool_missing",
		"alter system set work_mem = '1MB'", "cluster", "create tablespace onepool_missing location '/missing'",
	} {
		for name, use := range uses {
			want := use(plain, sql)
			got := use(limited, sql)
			require.Equal(t, outcomeOf(want), outcomeOf(got), "%s by %s: %v, pgx: %v", sql, name, got, want)
		}
		_, err := sqlDB.ExecContext(ctx, sql)
		require.Equal(t, outcomeOf(uses["Exec"](plain, sql)), outcomeOf(err), "%s by database/sql", sql)
	}
	require.Equal(t, before, limits(t, db), "the next client has the limits of the last one")
	require.Zero(t, db.Stats().Active)
}
