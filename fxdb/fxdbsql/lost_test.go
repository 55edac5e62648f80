package fxdbsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// TestALostConnectionIsAsWithFxdb ends the pool's idle connections on the server:
// what may be sent again is, and what may have run fails with the server's own
// words, not as a bad connection.
func TestALostConnectionIsAsWithFxdb(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, db := open(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 2, 2 }))
	other, err := pgx.Connect(t.Context(), pool.Pool().Config().ConnString())
	require.NoError(t, err)
	defer other.Close(context.Background())
	for who, ctx := range map[string]context.Context{"nobody": t.Context(), "a tenant": as(t, "acme")} {
		for name, c := range map[string]struct {
			use    func(ctx context.Context, db *sql.DB) error
			lost   bool // the caller may get the error
			always bool // the caller gets the error in every run
		}{
			"begin": {use: func(ctx context.Context, db *sql.DB) error {
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				return tx.Commit()
			}},
			"an idempotent query": {use: func(ctx context.Context, db *sql.DB) error {
				return db.QueryRowContext(fxdb.Idempotent(ctx), "select $1::int", 1).Scan(new(int))
			}},
			"an idempotent exec": {use: func(ctx context.Context, db *sql.DB) error {
				_, err := db.ExecContext(fxdb.Idempotent(ctx), "select $1::int", 1)
				return err
			}},
			"ping": {use: func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) }},
			"a statement": {lost: true, use: func(ctx context.Context, db *sql.DB) error {
				_, err := db.ExecContext(ctx, "select $1::int", 1)
				return err
			}},
			"the second statement of a session": {lost: true, always: true, use: func(ctx context.Context, db *sql.DB) error {
				session, err := db.Conn(ctx)
				if err != nil {
					return err
				}
				defer session.Close()
				var pid int
				if err := session.QueryRowContext(fxdb.Idempotent(ctx), "select pg_backend_pid()").Scan(&pid); err != nil {
					return err
				}
				if err := terminate(ctx, db, pid); err != nil {
					return err
				}
				return session.QueryRowContext(fxdb.Idempotent(ctx), "select $1::int", 1).Scan(new(int))
			}},
		} {
			t.Run(name+" of "+who, func(t *testing.T) {
				for range 2 { // the statement is known on both connections
					first, err := db.Conn(ctx)
					require.NoError(t, err)
					_, err = first.ExecContext(ctx, "select $1::int", 1)
					require.NoError(t, err)
					_, err = db.ExecContext(ctx, "select $1::int", 1)
					require.NoError(t, err)
					require.NoError(t, first.Close())
				}
				const backends = " from pg_stat_activity where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
				var pids []int
				require.NoError(t, other.QueryRow(t.Context(), "select array_agg(pid) filter (where pg_terminate_backend(pid))"+backends).Scan(&pids))
				require.Eventually(t, func() bool {
					var left int
					require.NoError(t, other.QueryRow(t.Context(), "select count(*)"+backends+" and pid = any($1)", pids).Scan(&left))
					return left == 0
				}, patience, tick)
				opened := pool.Stats().Opened
				err = c.use(ctx, db)
				if !c.lost {
					require.NoError(t, err)
					require.Greater(t, pool.Stats().Opened, opened, "no connection was lost")
					return
				}
				if c.always {
					require.Error(t, err)
				}
				require.NotErrorIs(t, err, driver.ErrBadConn)
				require.NoError(t, db.QueryRowContext(fxdb.Idempotent(ctx), "select 1").Scan(new(int)))
			})
		}
	}
}

// terminate ends a backend, and returns when it is gone.
func terminate(ctx context.Context, db *sql.DB, pid int) error {
	ctx = fxdb.Idempotent(ctx)
	if _, err := db.ExecContext(ctx, "select pg_terminate_backend($1)", pid); err != nil {
		return err
	}
	for there := true; there; {
		err := db.QueryRowContext(ctx, "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there)
		if err != nil {
			return err
		}
	}
	return nil
}
