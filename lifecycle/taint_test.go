package lifecycle_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestATaintedConnectionReachesNobody(t *testing.T) {
	t.Parallel()
	const taints = "set app.secret = 'left behind'"
	m, db := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MaxConns = 1
		c.Sessions.Cleanup = func(_ *pgx.Conn, text backend.Text) (cleanup backend.Cleanup, single bool) {
			sql := text.SQL
			if strings.HasPrefix(sql, "set ") || strings.HasPrefix(sql, "select pg_advisory") {
				cleanup = backend.Close
			}
			return cleanup, !strings.Contains(sql, ";")
		}
	})
	ask := func(ctx context.Context) (*pgxpool.Conn, error) {
		return m.Acquire(ctx, lifecycle.Request{Client: "user"})
	}
	requireRefused := func(err error) {
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
	}
	failing := func(sql string, args ...any) func(*pgx.Conn) error {
		return func(c *pgx.Conn) error {
			_, err := c.Exec(bounded(t), sql, args...)
			requireRefused(err)
			return nil
		}
	}
	statement := func(c *pgx.Conn) error { _, err := c.Exec(bounded(t), taints); return err }
	for _, c := range []struct {
		name    string
		acquire func(context.Context) (*pgxpool.Conn, error)
		use     func(*pgx.Conn) error
		tainted bool
	}{
		{"a statement", ask, statement, true},
		{"a statement on a connection of the pool's own", m.Pool().Acquire, statement, true},
		{"a statement that fails", ask, func(c *pgx.Conn) error { _, _ = c.Exec(bounded(t), "set nothing = 1"); return nil }, true},
		{"a batch", ask, func(c *pgx.Conn) error {
			b := &pgx.Batch{}
			b.Queue(taints)
			b.Queue("select 1")
			return c.SendBatch(bounded(t), b).Close()
		}, true},
		{"a prepared statement", ask, func(c *pgx.Conn) error {
			if _, err := c.Prepare(bounded(t), "by its name", taints); err != nil {
				return err
			}
			_, err := c.Exec(bounded(t), "by its name")
			return err
		}, true},
		{"a rewriter's statement", ask, func(c *pgx.Conn) error {
			backend.Of(c).Rewrites(taints)
			return nil
		}, true},
		{"a statement that the server can't parse", ask, failing("set nothing at all"), false},
		{"a statement that the server can't parse, prepared", ask, func(c *pgx.Conn) error {
			_, err := c.Prepare(bounded(t), "", "set nothing at all")
			requireRefused(err)
			return nil
		}, false},
		{"a statement that can't be analysed, prepared", ask, failing("select pg_advisory_lock($1) from nowhere", 1), false},
		{"a statement that can't be analysed, sent at once", ask, failing("select pg_advisory_lock($1) from nowhere", pgx.QueryExecModeExec, 1), true},
		{"several, of which one can't be parsed", ask, failing(taints + "; set nothing at all"), true},
		{"a batch of which a statement can't be parsed", ask, func(c *pgx.Conn) error {
			b := &pgx.Batch{}
			b.Queue("select pg_advisory_lock(1)")
			b.Queue("set nothing at all")
			requireRefused(c.SendBatch(bounded(t), b).Close())
			return nil
		}, true},
		// These took the lock before something else was parsed.
		{"a type's name that can't be parsed", ask, failing("select pg_advisory_lock(1), body::regtype from (values ('a b (')) as v (body)"), true},
		{"a function's text that can't be parsed", ask, failing("select pg_advisory_lock(1), query_to_xml(body, true, true, '') from (values ('selec 1')) as v (body)"), true},
		{"a typo behind what was prepared", ask, func(c *pgx.Conn) error {
			if _, err := c.Prepare(bounded(t), "again by its name", taints); err != nil {
				return err
			}
			return failing("set nothing at all")(c)
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
		require.Equal(t, c.tainted, pid != next, "%s: is it another connection?", c.name)
	}

	conn := acquire(t, m, "last")
	pid := conn.Conn().PgConn().PID()
	require.NoError(t, statement(conn.Conn()))
	conn.Release()
	// Nobody asks for the connection, which may keep a lock.
	db.WaitFor(t, "select not exists (select from pg_stat_activity where pid = $1)", int32(pid))
}

func TestTheSweepReadsTaintsWhileCallersClean(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MaxConns = 1
		c.Sessions.Cleanup = func(*pgx.Conn, backend.Text) (backend.Cleanup, bool) { return backend.Reset, true }
	})
	done := make(chan struct{})
	var seen sync.WaitGroup
	seen.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				m.Stock()
				runtime.Gosched()
			}
		}
	})
	for range 20 {
		conn := acquire(t, m, "user")
		_, err := conn.Exec(bounded(t), "set app.secret = 'left behind'")
		require.NoError(t, err)
		conn.Release()
	}
	close(done)
	seen.Wait()
	require.True(t, m.Stock())
	_, cleaned, closed := m.Tainted()
	require.EqualValues(t, 19, cleaned)
	require.Zero(t, closed)
}
