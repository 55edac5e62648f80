package lifecycle

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errStandby is the result of a probe of a standby: the server answers and takes no writes.
var errStandby = errors.New("the server is a read-only standby: promote the server, let the connection string reach the primary, or ask for a standby with target_session_attrs")

// errReadOnly is the result of a probe of a primary whose sessions begin read-only: managed
// servers turn writes off on a full disk.
var errReadOnly = errors.New("the server refuses writes: default_transaction_read_only is on for this role or database: turn the setting off, or confirm the setting in the connection string (default_transaction_read_only=on)")

// refusesWrites reports whether a probe found a server that answers and takes no writes.
func refusesWrites(err error) bool { return errors.Is(err, errStandby) || errors.Is(err, errReadOnly) }

// readOnlySetting is a parameter that the server reports since version 14.
const readOnlySetting = "default_transaction_read_only"

// expectsWrites returns false if the connection string asks for read-only sessions or a
// read-only server. Of the asked server pgx keeps only the function that checks the server.
func expectsWrites(cc *pgx.ConnConfig) bool {
	if _, set := cc.RuntimeParams[readOnlySetting]; set || strings.Contains(cc.RuntimeParams["options"], readOnlySetting) {
		return false
	}
	return !asksFor(cc, pgconn.ValidateConnectTargetSessionAttrsReadOnly, pgconn.ValidateConnectTargetSessionAttrsStandby) && !prefersStandby(cc)
}

// prefersStandby reports that the connection string prefers a standby, and takes a primary: pgx
// tries all hosts before pgx takes the primary.
func prefersStandby(cc *pgx.ConnConfig) bool {
	return asksFor(cc, pgconn.ValidateConnectTargetSessionAttrsPreferStandby)
}

// asksFor reports whether the connection string asks for a kind of server.
func asksFor(cc *pgx.ConnConfig, kinds ...pgconn.ValidateConnectFunc) bool {
	if cc.ValidateConnect == nil {
		return false
	}
	asked := reflect.ValueOf(cc.ValidateConnect).Pointer()
	return slices.ContainsFunc(kinds, func(kind pgconn.ValidateConnectFunc) bool { return asked == reflect.ValueOf(kind).Pointer() })
}

// noticeStandby reads the parameters that the server reports when a connection begins, since
// version 14: a standby answers reads, and its answers alone prove no primary.
func (m *Monitor) noticeStandby(conn *pgx.Conn) {
	if m.MeetsStandby(conn) || m.writes && m.noticeReadOnly(conn) {
		m.suspectStandby()
	}
}

// MeetsStandby reports whether the server of a connection is a standby although the pool
// expects writes. Only the holder of the connection may call MeetsStandby.
func (m *Monitor) MeetsStandby(conn *pgx.Conn) bool {
	return m.writes && conn.PgConn().ParameterStatus("in_hot_standby") == "on"
}

// noticeReadOnly reports whether the server reports the session as read-only by default.
func (m *Monitor) noticeReadOnly(conn *pgx.Conn) bool {
	on := conn.PgConn().ParameterStatus(readOnlySetting) == "on"
	if on {
		m.readOnlySeen.Store(true)
	}
	return on
}

// stuck reports whether a connection stayed read-only though the server takes writes again:
// a session keeps the settings of its role and database from its beginning.
func (m *Monitor) stuck(conn *pgx.Conn) bool {
	return m.readOnlySeen.Load() && m.writes && m.health.standby.Load() == 0 && m.noticeReadOnly(conn)
}

// suspectStandby makes every probe ask the server, until a probe finds a server that takes
// writes.
func (m *Monitor) suspectStandby() { m.health.standby.Store(time.Now().UnixNano()) }

// probeOver checks that a connected server answers, and takes writes.
func (m *Monitor) probeOver(ctx context.Context, conn *pgx.Conn) error {
	suspected := m.health.standby.Load()
	results, err := conn.PgConn().Exec(ctx, "select pg_is_in_recovery(), "+startedAt+", current_setting('"+readOnlySetting+"')").ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("probe the server: the server returned no row")
	}
	row := results[0].Rows[0]
	m.meet(conn, string(row[1]))
	if m.writes && string(row[0]) == "t" {
		m.suspectStandby()
		return errStandby
	}
	if m.writes && string(row[2]) == "on" {
		m.suspectStandby()
		return errReadOnly
	}
	if m.health.standby.CompareAndSwap(suspected, 0) && suspected != 0 { // a later suspicion stays
		m.losses.Add(1) // an answer brings the session's own setting up to date
	}
	if m.writes {
		m.leaveSilent()
	}
	return nil
}

// refusal returns why the last probe found a server without writes, or nil.
func (m *Monitor) refusal() error {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if refusesWrites(m.health.err) {
		return m.health.err
	}
	return nil
}
