package lifecycle_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

func TestASpoiledConnectionReachesNobody(t *testing.T) {
	t.Parallel()
	const spoils = "set app.secret = 'left behind'"
	m, db := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MaxConns = 1
		c.Spoils = func(sql string) bool { return strings.HasPrefix(sql, "set ") }
	})
	ask := func(ctx context.Context) (*pgxpool.Conn, error) {
		return m.Acquire(ctx, lifecycle.Request{Client: "user"})
	}
	statement := func(c *pgx.Conn) error { _, err := c.Exec(bounded(t), spoils); return err }
	for _, c := range []struct {
		name    string
		acquire func(context.Context) (*pgxpool.Conn, error)
		use     func(*pgx.Conn) error
		spoiled bool
	}{
		{"a statement", ask, statement, true},
		{"a statement on a connection of the pool's own", m.Pool().Acquire, statement, true},
		{"a statement that fails", ask, func(c *pgx.Conn) error { _, _ = c.Exec(bounded(t), "set nothing"); return nil }, true},
		{"a batch", ask, func(c *pgx.Conn) error {
			b := &pgx.Batch{}
			b.Queue(spoils)
			b.Queue("select 1")
			return c.SendBatch(bounded(t), b).Close()
		}, true},
		{"a prepared statement", ask, func(c *pgx.Conn) error {
			if _, err := c.Prepare(bounded(t), "by its name", spoils); err != nil {
				return err
			}
			_, err := c.Exec(bounded(t), "by its name")
			return err
		}, true},
		{"a statement that leaves nothing", ask, func(c *pgx.Conn) error { _, err := c.Exec(bounded(t), "select 1"); return err }, false},
	} {
		conn, err := c.acquire(bounded(t))
		require.NoError(t, err)
		pid := conn.Conn().PgConn().PID()
		require.NoError(t, c.use(conn.Conn()), c.name)
		conn.Release()

		conn, err = c.acquire(bounded(t))
		require.NoError(t, err)
		next := conn.Conn().PgConn().PID()
		var left string
		require.NoError(t, conn.QueryRow(bounded(t), "select coalesce(current_setting('app.secret', true), '')").Scan(&left))
		conn.Release()
		require.Empty(t, left, "%s left it to the next user", c.name)
		require.Equal(t, c.spoiled, pid != next, "%s: is it another connection?", c.name)
	}

	conn := acquire(t, m, "last")
	pid := conn.Conn().PgConn().PID()
	require.NoError(t, statement(conn.Conn()))
	conn.Release()
	// Nobody asks for the connection, which may keep a lock.
	db.WaitFor(t, "select not exists (select from pg_stat_activity where pid = $1)", int32(pid))
}
