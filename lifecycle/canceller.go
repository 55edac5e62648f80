package lifecycle

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// canceller cancels statements at the deadlines of their callers, over a connection that the
// canceller opens for the first late statement and keeps. A cancel request of the protocol would
// take a connection and a process on the server for each late statement.
type canceller struct {
	direct atomic.Bool         // the server sees the addresses of this process
	paused atomic.Int64        // unix ns of the end of the pause after a failure
	late   chan *lateStatement // to the goroutine of runCanceller

	conn   *pgx.Conn // of the goroutine; nil: not open
	server string    // the address of conn's server
	used   time.Time // when the server last answered on conn
	failed bool      // the last attempt
}

// lateStatement is a statement whose deadline has passed. The process and the client's address
// together prove the session: behind a pooler or on another server, the process alone may be the
// session of a stranger.
type lateStatement struct {
	pid            uint32
	client, server string
	ended          chan bool // buffered 1: the server has signalled the process
}

const (
	// cancellerWait bounds a caller's wait: a server that is away must not hold a late caller.
	cancellerWait = time.Second
	// cancellerMost bounds a connect of the canceller, and the statements for a cancel.
	cancellerMost = 2 * time.Second
	// cancellerPause is how long the pool does without the canceller after a failure.
	cancellerPause = 5 * time.Second
	// cancellerIdle is how long the connection stands idle before the canceller pings the server. A
	// cancel that fails costs the late statements their connections.
	cancellerIdle = time.Second
)

// cancelSQL cancels the statements of the sessions that have process and client of a late
// statement, unless a pooler gives the canceller's own session another process. The server knows the
// unnest of two arrays by its bare name, and finds pg_catalog.unnest.
const cancelSQL = `select l.n::int4, pg_catalog.pg_cancel_backend(a.pid)
from unnest($1::int4[], $2::text[]) with ordinality l(pid, client, n), pg_catalog.pg_stat_get_activity(l.pid) a
where pg_catalog.concat(pg_catalog.host(a.client_addr), ':', a.client_port) operator(pg_catalog.=) l.client
and pg_catalog.pg_backend_pid() operator(pg_catalog.=) $3::int4`

// ownClient is the client of the session that asks, in the form of clientOf.
const ownClient = "concat(host(inet_client_addr()), ':', coalesce(inet_client_port(), -1))"

// clientOf returns the client of a connection as a server without a proxy in between sees the
// client. A Unix socket has no address, and the port -1.
func clientOf(conn net.Conn) string {
	switch a := conn.LocalAddr().(type) {
	case *net.TCPAddr:
		ip := a.AddrPort().Addr().Unmap().WithZone("")
		return fmt.Sprintf("%s:%d", ip, a.Port)
	case *net.UnixAddr:
		return ":-1"
	}
	return "" // no session has this client
}

// CancelsStatements reports whether [Monitor.CancelStatement] can work at the time now. Behind a
// pooler, a proxy or a translation of addresses no statement can be cancelled: the server does
// not see the address of this process. After a failure the pool pauses for five seconds.
func (m *Monitor) CancelsStatements(now time.Time) bool {
	return m.canceller.direct.Load() && now.UnixNano() >= m.canceller.paused.Load()
}

// CancelStatement cancels the statement that runs on a connection of the pool, and takes at most a
// second. CancelStatement reports true when the server has signalled the session's process: a
// statement that is sent afterwards is not cancelled. After false the server may still cancel a
// statement, so the caller closes the connection. CancelStatement returns false from a stop on.
func (m *Monitor) CancelStatement(conn *pgconn.PgConn) bool {
	s := &lateStatement{
		pid: conn.PID(), client: clientOf(conn.Conn()), server: serverOf(conn), ended: make(chan bool, 1),
	}
	timer := time.NewTimer(cancellerWait)
	defer timer.Stop()
	canceled := false
	select {
	case m.canceller.late <- s:
		select {
		case canceled = <-s.ended:
		case <-timer.C:
		}
	case <-timer.C:
	case <-m.closing.Done():
		return false
	}
	if !canceled {
		m.canceller.paused.Store(time.Now().Add(cancellerPause).UnixNano())
	}
	return canceled
}

// runCanceller cancels late statements until ctx ends. Statements that are late at the same time
// share a round trip.
func (m *Monitor) runCanceller(ctx context.Context) {
	c := &m.canceller
	defer c.close()
	for {
		var all []*lateStatement
		select {
		case <-ctx.Done():
			return
		case s := <-c.late:
			all = append(all, s)
		}
		for more := true; more; {
			select {
			case s := <-c.late:
				all = append(all, s)
			default:
				more = false
			}
		}
		err := m.cancelAll(ctx, all)
		if err != nil && !c.failed && ctx.Err() == nil {
			m.log.Warn("pool can't cancel late statements, and closes their connections",
				zap.String("database", m.Database()), zap.Error(err))
		}
		c.failed = err != nil
	}
}

// cancelAll cancels the statements, and answers each caller: true for a session that the server
// has signalled.
func (m *Monitor) cancelAll(ctx context.Context, all []*lateStatement) (err error) {
	c := &m.canceller
	canceled := make([]bool, len(all))
	defer func() {
		if err != nil {
			c.close()
		}
		for i, s := range all {
			s.ended <- canceled[i] && err == nil
		}
	}()
	// The statements end before the drain does: the drain's begin leaves a round trip under way.
	asking, stop := context.WithTimeout(context.WithoutCancel(ctx), cancellerMost)
	defer stop()
	if c.conn != nil && (c.server != all[0].server || time.Since(c.used) > cancellerIdle && c.conn.Ping(asking) != nil) {
		c.close()
	}
	if c.conn == nil {
		if err = m.connectCanceller(ctx); err != nil {
			return err
		}
	}
	pids, clients := make([]int32, len(all)), make([]string, len(all))
	for i, s := range all {
		if s.server == c.server {
			pids[i], clients[i] = int32(s.pid), s.client
		}
	}
	rows, err := c.conn.Query(asking, cancelSQL, pids, clients, int32(c.conn.PgConn().PID()))
	if err != nil {
		return err
	}
	var n int
	var ok bool
	_, err = pgx.ForEachRow(rows, []any{&n, &ok}, func() error {
		canceled[n-1] = ok
		return nil
	})
	c.used = time.Now()
	return err
}

func (m *Monitor) connectCanceller(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, cancellerMost)
	defer cancel()
	c := &m.canceller
	if c.conn, err = m.connectAs(ctx, "cancel"); err == nil {
		c.server = serverOf(c.conn.PgConn())
	}
	return err
}

// serverOf returns the address of a connection's server.
func serverOf(conn *pgconn.PgConn) string { return conn.Conn().RemoteAddr().String() }

func (c *canceller) close() {
	if c.conn != nil {
		closeConn(c.conn)
		c.conn = nil
	}
}
