package lifecycle

import (
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

// MinServerVersion is the oldest PostgreSQL that Start accepts, as
// server_version_num.
const MinServerVersion = 130000

type server struct {
	version        string
	number         int
	maxConnections int
	reserved       int
	superuser      bool
	bypassRLS      bool
}

// checkServer refuses servers that can't work and warns of those that will hurt.
func (m *Monitor) checkServer(ctx context.Context) (server, error) {
	var s server
	conn, err := m.connect(ctx)
	if err != nil {
		return s, err
	}
	defer closeConn(conn)
	err = conn.QueryRow(ctx, `
		select current_setting('server_version'), current_setting('server_version_num')::int,
		       current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
		       rolsuper, rolbypassrls
		from pg_catalog.pg_roles where rolname = current_user`,
	).Scan(&s.version, &s.number, &s.maxConnections, &s.reserved, &s.superuser, &s.bypassRLS)
	if err != nil {
		return s, fmt.Errorf("check the server: %w", err)
	}
	if s.number < MinServerVersion {
		return s, fmt.Errorf("server is PostgreSQL %s: %d or newer is needed", s.version, MinServerVersion/10000)
	}
	if limit, free := int(m.cfg.Pool.MaxConns), s.maxConnections-s.reserved; limit > free {
		return s, fmt.Errorf("DB_POOL_MAX is %d, but the server lets ordinary roles open %d connections (max_connections %d, %d reserved): lower the one or raise the other",
			limit, free, s.maxConnections, s.reserved)
	}
	if s.superuser || s.bypassRLS {
		m.log.Warn("the pool's role bypasses row-level security: tenants are not isolated; connect as a role that is neither superuser nor BYPASSRLS",
			zap.String("role", m.cfg.Pool.ConnConfig.User), zap.Bool("superuser", s.superuser), zap.Bool("bypassrls", s.bypassRLS))
	}
	return s, nil
}

// connect opens a connection that is not the pool's, with the pool's settings.
func (m *Monitor) connect(ctx context.Context) (*pgx.Conn, error) {
	cc := m.cfg.Pool.ConnConfig.Copy()
	cc.Tracer = nil
	if m.cfg.Pool.BeforeConnect != nil {
		if err := m.cfg.Pool.BeforeConnect(ctx, cc); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, cc)
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// isUnavailable reports whether the server could not be reached or is not open
// for connections now, so that another try may help. A refused password or an
// unknown database is no such thing.
func isUnavailable(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "53300", "57P01", "57P02", "57P03": // too many connections, shutting down, crashed, starting up
			return true
		}
		return strings.HasPrefix(pgErr.Code, "08")
	}
	var connectErr *pgconn.ConnectError
	var opErr *net.OpError // not net.Error: a context's deadline is one of these too
	return errors.As(err, &connectErr) || errors.As(err, &opErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOENT)
}
