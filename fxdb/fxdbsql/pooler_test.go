package fxdbsql_test

import (
	"testing"

	"github.com/pressly/goose/v3/lock"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgbouncer"
)

func TestBehindAPoolerASessionIsUsedOnce(t *testing.T) {
	t.Parallel()
	direct, _ := open(t)
	pooler := pgbouncer.Start(t, direct.Pool().Config().ConnString(), "default_pool_size = 1")
	pool, err := fxdb.Open(t.Context(), fxdb.Config{URL: pooler.URL(), Pooler: "transaction", PoolMax: 2})
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close(t.Context())) }()
	db := over(t, pool)

	for range 3 {
		for _, name := range []string{"acme", "globex"} {
			require.Equal(t, name, tenantOf(t, db, as(t, name)))
			_, err := db.ExecContext(as(t, name), "insert into notes.notes (body) values ($1)", name)
			require.NoError(t, err)
			stmt, err := db.PrepareContext(as(t, name), "select count(*) from notes.notes where body <> $1")
			require.NoError(t, err)
			var n int
			require.NoError(t, stmt.QueryRowContext(as(t, name), name).Scan(&n))
			require.Zero(t, n, "rows of another tenant")
			require.NoError(t, stmt.Close())
			tx, err := db.BeginTx(as(t, name), nil)
			require.NoError(t, err)
			require.Equal(t, name, tenantOf(t, tx, t.Context()))
			_, err = tx.ExecContext(t.Context(), "set search_path = notes")
			require.ErrorIs(t, err, fxdb.ErrNeedsSession)
			require.NoError(t, tx.Commit())
		}
		require.Empty(t, tenantOf(t, db, t.Context()))
	}
	_, err = db.ExecContext(t.Context(), "listen jobs")
	require.ErrorIs(t, err, fxdb.ErrNeedsSession)

	session, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.Equal(t, "acme", tenantOf(t, session, as(t, "acme")))
	_, err = session.ExecContext(as(t, "acme"), "select 1")
	require.ErrorIs(t, err, fxdb.ErrNeedsSession)
	require.ErrorContains(t, err, "*sql.Conn")
	_, err = session.BeginTx(t.Context(), nil)
	require.ErrorIs(t, err, fxdb.ErrNeedsSession)
	require.NoError(t, session.Close())

	locker, err := lock.NewPostgresSessionLocker() // goose's
	require.NoError(t, err)
	session, err = db.Conn(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, locker.SessionLock(t.Context(), session), fxdb.ErrNeedsSession)
	require.NoError(t, session.Close())
	require.Zero(t, pool.Stats().Active)
}
