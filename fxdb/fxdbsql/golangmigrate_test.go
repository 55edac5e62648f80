package fxdbsql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// golang-migrate holds a *sql.Conn, and waits there for an advisory lock for as long as another
// replica migrates: longer than the pool's lock_timeout.
func TestAClientWithoutLimitsWaitsForTheLockOfGolangMigrate(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	kept := testkit.DB(t)
	pool, err := fxdb.Open(t.Context(), fxdb.Config{
		URL: testkit.OwnerPool(t, kept).Config().ConnString(), PoolMax: 4, NestedAcquire: fxdb.NestedOff, LockTimeout: 200 * time.Millisecond,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close(context.WithoutCancel(t.Context()))) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hold := func(db *fxdb.DB) *sql.Conn {
		conn, err := over(t, db).Conn(ctx)
		require.NoError(t, err)
		return conn
	}
	const lock, unlock = "select pg_advisory_lock($1)", "select pg_advisory_unlock($1)"
	unlimited := pool.Named("migrations", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: -1, Lock: -1}))
	first, second, limited := hold(unlimited), hold(unlimited), hold(pool.Named("limited"))
	_, err = first.ExecContext(ctx, lock, 17)
	require.NoError(t, err)
	locked := make(chan error, 1)
	go func() {
		_, err := second.ExecContext(ctx, lock, 17)
		locked <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, kept.QueryRow(ctx, "select count(*) > 0 from pg_locks where locktype = 'advisory' and objid = 17 and not granted"+
			" and database = (select oid from pg_database where datname = current_database())").Scan(&waits))
		return waits
	}, time.Minute, time.Millisecond)
	_, err = limited.ExecContext(ctx, lock, 17) // began later, and ends at the pool's limit
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "55P03", refused.Code)
	select {
	case err := <-locked:
		t.Fatalf("the second replica's wait ended: %v", err)
	default:
	}
	_, err = first.ExecContext(ctx, unlock, 17)
	require.NoError(t, err)
	require.NoError(t, <-locked)

	for _, migration := range []string{
		"create table versions (version bigint); create table goods (id int); insert into goods values (1)",
		"create index concurrently goods_id on goods (id)",
	} {
		_, err = second.ExecContext(ctx, migration)
		require.NoError(t, err, migration)
	}
	tx, err := second.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(ctx, "insert into versions values ($1)", 2)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	var unlocked bool
	require.NoError(t, second.QueryRowContext(ctx, unlock, 17).Scan(&unlocked))
	require.True(t, unlocked, "the session of the lock is gone")
	for _, conn := range []*sql.Conn{first, second, limited} {
		require.NoError(t, conn.Close())
	}
	var limit string
	require.NoError(t, over(t, pool).QueryRowContext(ctx, "show lock_timeout").Scan(&limit))
	require.Equal(t, "200ms", limit)
}
