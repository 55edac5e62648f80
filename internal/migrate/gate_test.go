package migrate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait; a test fails by it only when something hangs.
const patience = time.Minute

// session is one beside the migrations: it looks at the server, and no limit on
// idle sessions ends it.
type session struct {
	t    *testing.T
	conn *pgx.Conn
}

func observe(t *testing.T, cc *pgx.ConnConfig) session {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cc)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	o := session{t, conn}
	o.exec("set idle_session_timeout = 0")
	return o
}

func (o session) exec(sql string, args ...any) {
	o.t.Helper()
	_, err := o.conn.Exec(context.Background(), sql, args...)
	require.NoError(o.t, err)
}

func value[T any](o session, sql string, args ...any) (v T) {
	o.t.Helper()
	require.NoError(o.t, o.conn.QueryRow(context.Background(), sql, args...).Scan(&v))
	return v
}

// waitFor waits until the server answers true, or until also does.
func (o session) waitFor(also func() bool, sql string, args ...any) {
	o.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !value[bool](o, sql, args...); <-tick.C {
		if also != nil && also() {
			return
		}
		require.True(o.t, time.Now().Before(deadline), "waited %s for: %s", patience, sql)
	}
}

// gate is an advisory lock that the observer holds. A migration with passGate waits
// until the observer opens it.
const (
	gateKey  = 7
	passGate = "select pg_advisory_xact_lock_shared(7);\n"
)

func (o session) closeGate() { o.exec("select pg_advisory_lock($1)", gateKey) }
func (o session) openGate()  { o.exec("select pg_advisory_unlock($1)", gateKey) }

var atGate = fmt.Sprintf("(select count(*) from pg_locks where locktype = 'advisory' and objid = %d and not granted"+
	" and database = (select oid from pg_database where datname = current_database()))", gateKey)

func (o session) waitAtGate(n int, also func() bool) {
	o.t.Helper()
	o.waitFor(also, "select "+atGate+" >= $1", n)
}

// killIdle ends the database's idle sessions, as a server's idle_session_timeout or a
// cleaning job does, and waits until they are gone.
func (o session) killIdle() (killed int) {
	o.t.Helper()
	killed = value[int](o, `select count(pg_terminate_backend(pid, 60000)) from pg_stat_activity
		where datname = current_database() and state = 'idle' and pid <> pg_backend_pid()`)
	return killed
}
