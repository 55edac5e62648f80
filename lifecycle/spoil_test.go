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
		c.Pool.MinConns, c.Pool.MaxConns = 1, 1
		c.Spoils = func(sql string) bool { return strings.HasPrefix(sql, "set ") }
	})
	acquires := map[string]func(context.Context) (*pgxpool.Conn, error){
		"the monitor": func(ctx context.Context) (*pgxpool.Conn, error) {
			return m.Acquire(ctx, lifecycle.Request{Client: "user"})
		},
		"the pool itself": m.Pool().Acquire,
	}
	for by, acquire := range acquires {
		for how, c := range map[string]struct {
			spoiled bool
			use     func(*pgx.Conn) error
		}{
			"a statement": {true, func(c *pgx.Conn) error { _, err := c.Exec(bounded(t), spoils); return err }},
			"a batch": {true, func(c *pgx.Conn) error {
				b := &pgx.Batch{}
				b.Queue("select 1")
				b.Queue(spoils)
				return c.SendBatch(bounded(t), b).Close()
			}},
			"a prepared statement": {true, func(c *pgx.Conn) error {
				if _, err := c.Prepare(bounded(t), "by its name", spoils); err != nil {
					return err
				}
				_, err := c.Exec(bounded(t), "by its name")
				return err
			}},
			"a statement that fails": {true, func(c *pgx.Conn) error { _, _ = c.Exec(bounded(t), "set nothing"); return nil }},
			"nothing":                {false, func(c *pgx.Conn) error { _, err := c.Exec(bounded(t), "select 1"); return err }},
		} {
			if by != "the monitor" && how != "a statement" {
				continue
			}
			conn, err := acquire(bounded(t))
			require.NoError(t, err)
			pid := conn.Conn().PgConn().PID()
			require.NoError(t, c.use(conn.Conn()), how)
			conn.Release()

			conn, err = acquire(bounded(t))
			require.NoError(t, err)
			next := conn.Conn().PgConn().PID()
			var left string
			require.NoError(t, conn.QueryRow(bounded(t), "select coalesce(current_setting('app.secret', true), '')").Scan(&left))
			conn.Release()
			require.Empty(t, left, "what %s left reached the next user of %s", how, by)
			require.Equal(t, c.spoiled, pid != next, "%s, then %s gave the connection on", how, by)
		}
	}
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "last"})
	require.NoError(t, err)
	pid := conn.Conn().PgConn().PID()
	_, err = conn.Exec(bounded(t), spoils)
	require.NoError(t, err)
	conn.Release()
	db.WaitFor(t, "select not exists (select from pg_stat_activity where pid = $1)", int32(pid)) // nobody asks for it, and it may keep a lock
}
