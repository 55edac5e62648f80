package lifecycle

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errStandby is the look at a server that answers and takes no writes.
var errStandby = errors.New("the server is a read-only standby: promote it, let the connection string reach the primary, or ask for a standby with target_session_attrs")

// expectsWrites is false where the connection string asks for a server that is
// read-only. pgx keeps no more of that than the function that checks it.
func expectsWrites(cc *pgx.ConnConfig) bool {
	if cc.ValidateConnect == nil {
		return true
	}
	asked := reflect.ValueOf(cc.ValidateConnect).Pointer()
	for _, readOnly := range []pgconn.ValidateConnectFunc{
		pgconn.ValidateConnectTargetSessionAttrsReadOnly,
		pgconn.ValidateConnectTargetSessionAttrsStandby,
		pgconn.ValidateConnectTargetSessionAttrsPreferStandby,
	} {
		if asked == reflect.ValueOf(readOnly).Pointer() {
			return false
		}
	}
	return true
}

// noticeStandby looks at what the server says of itself when a connection begins,
// since version 14: a standby answers reads, so answers alone don't tell.
func (m *Monitor) noticeStandby(conn *pgx.Conn) {
	if m.writes && conn.PgConn().ParameterStatus("in_hot_standby") == "on" {
		m.suspectStandby()
	}
}

// suspectStandby makes every look ask the server, until it says that it is none.
func (m *Monitor) suspectStandby() { m.health.standby.Store(time.Now().UnixNano()) }

// look asks a server that took a connection whether it answers, and for what.
func (m *Monitor) look(ctx context.Context, conn *pgx.Conn) error {
	suspected := m.health.standby.Load()
	results, err := conn.PgConn().Exec(ctx, "select pg_is_in_recovery(), "+startedAt).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("look at the server: it gave no row")
	}
	row := results[0].Rows[0]
	m.meet(conn, string(row[1]))
	if m.writes && string(row[0]) == "t" {
		m.suspectStandby()
		return errStandby
	}
	m.health.standby.CompareAndSwap(suspected, 0) // a suspicion that came meanwhile stays
	return nil
}

// onStandby reports whether the last look found a standby.
func (m *Monitor) onStandby() bool {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	return errors.Is(m.health.err, errStandby)
}
