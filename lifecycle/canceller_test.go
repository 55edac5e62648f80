package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

const cancelling = applicationName + "/cancel"

// canceling returns the result of a cancel of the statement that conn runs.
func canceling(t testing.TB, m *lifecycle.Monitor, db *database, conn *pgxpool.Conn) (canceled bool, code string) {
	t.Helper()
	const sleep = "select pg_sleep(60)"
	ran := make(chan error, 1)
	ctx, stop := context.WithCancel(bounded(t))
	defer stop()
	go func() { _, err := conn.Exec(ctx, sleep); ran <- err }()
	db.WaitFor(t, "select exists (select from pg_stat_activity where state = 'active' and query = $1 and pid = $2)", sleep, int32(conn.Conn().PgConn().PID()))
	if canceled = m.CancelStatement(conn.Conn().PgConn()); !canceled {
		stop()
	}
	var pgErr *pgconn.PgError
	if errors.As(receive(t, ran), &pgErr) {
		code = pgErr.Code
	}
	return canceled, code
}

func (db *database) waitForCancellers(t testing.TB, n int) {
	t.Helper()
	db.WaitFor(t, "select count(*) = $1 from pg_stat_activity where application_name = $2 and datname = current_database()", n, cancelling)
}

func TestACancelEndsTheStatementAndNotTheConnection(t *testing.T) {
	t.Parallel()
	m, db := startPool(t, nil)
	db.waitForCancellers(t, 0)
	for range 2 {
		conn := acquire(t, m, "late")
		canceled, code := canceling(t, m, db, conn)
		require.True(t, canceled)
		require.Equal(t, "57014", code)
		conn.Release()
		db.waitForCancellers(t, 1)
	}
	require.EqualValues(t, 1, m.Opened())
	_, err := lifecycle.Drain(t.Context(), m, hang)
	require.NoError(t, err)
	db.waitForCancellers(t, 0)
	require.False(t, m.CancelStatement(db.Admin(t).PgConn()), "a drained pool cancels nothing")
}

func TestCancelsAtTheSameTimeShareAConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, db := startPool(t, nil)
	var all sync.WaitGroup
	for range 5 {
		conn := acquire(t, m, "late")
		all.Go(func() {
			defer conn.Release()
			for range 20 {
				if !m.CancelStatement(conn.Conn().PgConn()) {
					t.Error("not canceled")
				}
				if _, err := conn.Exec(bounded(t), "select 1"); err != nil { // the signal came before
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	db.waitForCancellers(t, 1)
}

func TestTheCancellersConnectionComesBack(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, db := startPool(t, nil)
	conn := acquire(t, m, "late")
	defer conn.Release()
	require.True(t, m.CancelStatement(conn.Conn().PgConn()))
	const kill = "select count(pg_terminate_backend(pid, 60000)) = 1 from pg_stat_activity where application_name = $1 and datname = current_database()"
	db.WaitFor(t, kill, cancelling)
	eventually(t, func() bool { return m.CancelStatement(conn.Conn().PgConn()) })
	db.waitForCancellers(t, 1)
}

// Behind a proxy the server does not see the address of the pool: the process alone proves nothing.
func TestThePoolCancelsNothingBehindAProxy(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	m := newMonitor(t, db.server.Proxy(t).DatabaseURL("postgres", db.name), nil)
	require.NoError(t, m.Start(bounded(t)))
	require.False(t, m.CancelsStatements(time.Now()))
	conn := acquire(t, m, "late")
	defer conn.Release()
	canceled, _ := canceling(t, m, db, conn)
	require.False(t, canceled)

	direct := newMonitor(t, db.URL(), nil)
	require.NoError(t, direct.Start(bounded(t)))
	require.True(t, direct.CancelsStatements(time.Now()))
	proxied, own := acquire(t, m, "late"), acquire(t, direct, "late")
	defer proxied.Release()
	defer own.Release()
	for range 2 { // the next cancel finds the pool's own server again
		require.False(t, direct.CancelStatement(proxied.Conn().PgConn()))
		require.True(t, direct.CancelStatement(own.Conn().PgConn()))
	}
}

func TestAPoolThatCannotCancelPausesAndLogsOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db := newDatabase(t)
	role := db.newRole(t)
	m := newMonitor(t, db.server.DatabaseURL(role, db.name), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	require.NoError(t, m.Start(bounded(t)))
	require.True(t, m.CancelsStatements(time.Now()))
	conn := acquire(t, m, "late")
	defer conn.Release()
	_, err := db.Admin(t).Exec(bounded(t), "revoke execute on function pg_cancel_backend from public")
	require.NoError(t, err)
	for range 2 {
		require.False(t, m.CancelStatement(conn.Conn().PgConn()))
		require.False(t, m.CancelsStatements(time.Now()))
	}
	require.Equal(t, 1, logs.FilterMessage("pool can't cancel late statements, and closes their connections").Len())
	require.True(t, m.CancelsStatements(time.Now().Add(hang)), "after a pause")
}
