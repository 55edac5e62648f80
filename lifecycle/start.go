package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

// MinServerVersion is the oldest PostgreSQL that Start accepts, as
// server_version_num.
const MinServerVersion = 130000

// warming marks the acquires of Start itself, which may pass the gate.
type warming struct{}

// Start connects: it checks the server over a connection of its own, runs
// BeforeReady, opens the pool's minimum of connections concurrently (at least
// one), and opens the gate.
//
// It keeps to four fifths of the time left until ctx's deadline, so that the
// start hooks that follow keep a share of theirs. When it fails nothing is left
// open and the pool can't be started again. Starting a started pool is a no-op
// with a warning in the log.
func (m *Monitor) Start(ctx context.Context) error {
	m.startMu.Lock()
	defer m.startMu.Unlock()
	switch m.state.Load() {
	case stateReady:
		m.log.Warn("pool is already started")
		return nil
	case stateDraining, stateStopped:
		return ErrDraining
	}
	began := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*4/5)
		defer cancel()
	}
	m.state.Store(stateStarting)
	server, err := m.start(ctx)
	if err != nil {
		m.abandon()
		return err
	}
	if !m.state.CompareAndSwap(stateStarting, stateReady) {
		return ErrDraining
	}
	if other := claimOrigin(m); other != "" {
		m.log.Warn("a second pool on the same database in one process: share one instead",
			zap.String("database", m.Database()), zap.String("first_opened_by", other), zap.String("opened_by", m.cfg.Origin))
	}
	m.log.Info("pool started", zap.String("database", m.Database()), zap.String("server", server.version),
		zap.Int32("min", m.cfg.Pool.MinConns), zap.Int32("max", m.cfg.Pool.MaxConns), zap.Duration("elapsed", time.Since(began)))
	return nil
}

func (m *Monitor) start(ctx context.Context) (server, error) {
	srv, err := m.checkServer(ctx)
	if err != nil {
		return srv, fmt.Errorf("start the pool on %s: %w", m.Database(), err)
	}
	if m.cfg.BeforeReady != nil {
		if err := m.cfg.BeforeReady(ctx); err != nil {
			return srv, err
		}
	}
	if err := m.warm(ctx); err != nil {
		return srv, fmt.Errorf("warm the pool on %s: %w", m.Database(), err)
	}
	return srv, nil
}

// abandon closes what a failed start opened. All connections are back by then,
// so the drain has nothing to wait for.
func (m *Monitor) abandon() {
	_, _ = Drain(context.Background(), m, 0)
}

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

// warm opens the minimum at once. It holds what it has until all are there, so
// that every acquire opens a connection of its own.
func (m *Monitor) warm(ctx context.Context) error {
	n := min(max(1, int(m.cfg.Pool.MinConns)), int(m.cfg.Pool.MaxConns))
	ctx = context.WithValue(ctx, warming{}, true)
	conns := make([]*pgxpool.Conn, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { conns[i], errs[i] = m.Acquire(ctx, "start", "") })
	}
	wg.Wait()
	for _, c := range conns {
		if c != nil {
			c.Release()
		}
	}
	return errors.Join(errs...)
}

// Database names the database for people: host, port and name, no user and no
// password.
func (m *Monitor) Database() string {
	cc := m.cfg.Pool.ConnConfig
	return fmt.Sprintf("%s:%d/%s", cc.Host, cc.Port, cc.Database)
}

// origins knows the started pools of this process, to report a second one on
// the same database: the fault that this library exists to end.
var origins struct {
	sync.Mutex
	open map[string]*Monitor
}

func claimOrigin(m *Monitor) (other string) {
	origins.Lock()
	defer origins.Unlock()
	if first, ok := origins.open[m.Database()]; ok {
		return first.cfg.Origin
	}
	if origins.open == nil {
		origins.open = make(map[string]*Monitor)
	}
	origins.open[m.Database()] = m
	return ""
}

func forgetOrigin(m *Monitor) {
	origins.Lock()
	defer origins.Unlock()
	if origins.open[m.Database()] == m {
		delete(origins.open, m.Database())
	}
}
