package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// minServerVersion is the oldest PostgreSQL that Start accepts, as server_version_num. The
// tests run on every major version from minServerVersion on.
const minServerVersion = 150000

type server struct {
	version   string
	number    int
	superuser bool
	bypassRLS bool
	limits    []limit
}

// limit is how many connections something lets this pool's role open.
type limit struct {
	name  string
	conns int
}

// checkSQL asks for all that the start must know. reserved_connections is new in version 16.
const checkSQL = `
	select current_setting('server_version'), current_setting('server_version_num')::int,
	       current_setting('max_connections')::int,
	       current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0),
	       rolsuper, rolbypassrls, rolconnlimit, pg_backend_pid(), pg_is_in_recovery(),
	       (select datconnlimit from pg_catalog.pg_database where datname = current_database()), ` + startedAt + `, ` + ownClient + `
	from pg_catalog.pg_roles where rolname = current_user`

// checkServer refuses servers that can't work and warns of those that will hurt. began is the
// beginning of the connect.
func (m *Monitor) checkServer(ctx context.Context, conn *pgx.Conn, began time.Time) (s server, err error) {
	var connections, reserved, ofRole, ofDatabase int
	var pid uint32
	var standby bool
	var started, client string
	answers := conn.PgConn().Exec(ctx, checkSQL+m.ownSettingsSQL()) // a single round trip
	err = readRow(conn, answers, &s.version, &s.number, &connections, &reserved, &s.superuser, &s.bypassRLS, &ofRole, &pid, &standby, &ofDatabase, &started, &client)
	own, ownErr := readOwnSettings(conn, answers)
	if err != nil {
		return s, fmt.Errorf("check the server: %w", err)
	}
	if m.cfg.Pool.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol && conn.PgConn().ParameterStatus("standard_conforming_strings") != "on" {
		return s, errors.New("default_query_exec_mode=simple_protocol needs standard_conforming_strings=on: pgx writes the parameters into the text")
	}
	m.health.measured(time.Since(began))
	m.serverVersion.Store(int64(s.number))
	m.meet(conn, started)
	if err := s.supported(); err != nil {
		return s, err
	}
	s.limits = []limit{{fmt.Sprintf("the server (max_connections %d, %d reserved)", connections, reserved), connections - reserved}}
	if !s.superuser { // superusers are exempt from both
		if ofRole >= 0 {
			s.limits = append(s.limits, limit{fmt.Sprintf("role %q (CONNECTION LIMIT)", m.cfg.Pool.ConnConfig.User), ofRole})
		}
		if ofDatabase >= 0 {
			s.limits = append(s.limits, limit{fmt.Sprintf("database %q (CONNECTION LIMIT)", m.cfg.Pool.ConnConfig.Database), ofDatabase})
		}
	}
	if !m.cfg.Pooler {
		if err := m.checkSize(s.limits); err != nil {
			return s, err
		}
		// A pooler reports a number of its own to its clients.
		pooled := conn.PgConn().PID() != pid
		m.canceller.direct.Store(!pooled && client == clientOf(conn.PgConn().Conn()))
		if pooled {
			m.log.Warn("a pooler stands between the pool and its server: if the pooler pools transactions (PgBouncer's pool_mode), set "+m.settings().name("Pooler")+": otherwise prepared statements and limits of the session fail or reach other clients",
				zap.String("database", m.Database()))
		}
	}
	if m.writes && standby {
		m.log.Warn("pool is not ready: "+errStandby.Error(), zap.String("database", m.Database()))
	} else if m.writes && m.noticeReadOnly(conn) {
		m.suspectStandby()
		m.log.Warn("pool is not ready: "+errReadOnly.Error(), zap.String("database", m.Database()))
	}
	if err := m.takeOwnSettings(own, ownErr); err != nil {
		return s, err
	}
	if s.superuser || s.bypassRLS {
		m.log.Warn("the pool's role bypasses row-level security: tenants are not isolated; connect as a role that is neither superuser nor BYPASSRLS",
			zap.String("role", m.cfg.Pool.ConnConfig.User), zap.Bool("superuser", s.superuser), zap.Bool("bypassrls", s.bypassRLS))
	}
	return s, nil
}

// readRow reads the row of the next answer.
func readRow(conn *pgx.Conn, answers *pgconn.MultiResultReader, to ...any) error {
	if !answers.NextResult() {
		return cmp.Or(answers.Close(), pgx.ErrNoRows)
	}
	rows := pgx.RowsFromResultReader(conn.TypeMap(), answers.ResultReader())
	tag, err := pgx.ForEachRow(rows, to, func() error { return nil })
	if err == nil && tag.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	return err
}

// ServerVersion returns the server_version_num of the server that Start has met, for example
// 170002, and 0 before.
func (m *Monitor) ServerVersion() int { return int(m.serverVersion.Load()) }

func (s server) supported() error {
	if s.number < minServerVersion {
		return fmt.Errorf("server is PostgreSQL %s: onepool needs %d or newer", s.version, minServerVersion/10000)
	}
	return nil
}

// checkSize refuses a pool that could never be filled: the first busy minute would show that
// connects are refused. Each process needs a connection more than its pools: the probe of
// the health. The connections of a listener and of the cancellers, which the application may never
// open, are worth a warning.
func (m *Monitor) checkSize(limits []limit) error {
	need := (int(m.cfg.Pool.MaxConns) + m.cfg.SiblingConns + 1) * m.cfg.Replicas
	what := fmt.Sprintf("%s is %d", m.settings().name("MaxConns"), m.cfg.Pool.MaxConns)
	if m.cfg.SiblingConns > 0 {
		what += fmt.Sprintf(" and the pools of %s take %d", m.settings().name("SiblingConns"), m.cfg.SiblingConns)
	}
	what += ", and one more watches the server's health,"
	if m.cfg.Replicas > 1 {
		what += fmt.Sprintf(" in each of %s=%d,", m.settings().name("Replicas"), m.cfg.Replicas)
	}
	what += fmt.Sprintf(" %d in all", need)
	spare := (m.cfg.ListenConns + 1 + len(m.cfg.SiblingPools)) * m.cfg.Replicas
	for _, l := range limits {
		switch {
		case need > l.conns:
			return fmt.Errorf("%s, but %s allows %d connections: %w", what, l.name, l.conns, errSize)
		case need+spare > l.conns:
			m.log.Warn("the limits on connections leave too few for DB.Listen and for the cancel of late statements", zap.String("limit", l.name), zap.Int("connections", l.conns), zap.Int("taken", need))
		}
	}
	return nil
}

var errSize = errors.New("make the pool smaller, or raise the limit")

// connect opens a connection for a probe of the server.
func (m *Monitor) connect(ctx context.Context) (*pgx.Conn, error) {
	return m.connectAs(ctx, "health")
}

// connectAs opens a connection that is not the pool's, with the pool's settings and name
// appended to application_name.
func (m *Monitor) connectAs(ctx context.Context, name string) (*pgx.Conn, error) {
	cc := m.cfg.Pool.ConnConfig.Copy()
	cc.Tracer = nil
	m.yield(cc)
	if application := cc.RuntimeParams["application_name"]; application != "" {
		cc.RuntimeParams["application_name"] = application + "/" + name
	}
	if m.cfg.Pool.BeforeConnect != nil {
		if err := m.cfg.Pool.BeforeConnect(ctx, cc); err != nil {
			return nil, err
		}
	}
	m.PreferAnswering(ctx, cc)
	return pgx.ConnectConfig(context.WithValue(ctx, connectingKey{}, &connecting{}), cc)
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// refusesParameter reports whether err is PgBouncer's refusal of a setting that a
// connection begins with. The refusal has no SQLSTATE of its own.
func refusesParameter(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Message, "unsupported startup parameter")
}

// isDenied reports whether the server refused the role a right.
func isDenied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// isFull reports whether the server, the database or the role has no connection
// left: a server that says so answers.
func isFull(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "53300"
}

// isUnavailable reports whether the server could not be reached, or takes no connections now, so
// that another attempt may help. After a refused password or an unknown database no attempt helps.
func isUnavailable(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "53300", "57P01", "57P02", "57P03": // too many connections, shutting down, crashed, starting up
			return true
		}
		return strings.HasPrefix(pgErr.Code, "08") && !refusesParameter(err)
	}
	var connectErr *pgconn.ConnectError
	var opErr *net.OpError // not net.Error: a context's deadline is a net.Error too
	return errors.As(err, &connectErr) || errors.As(err, &opErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOENT)
}
