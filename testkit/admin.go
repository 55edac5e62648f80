package testkit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// admins are the administrator's connections. A pgxpool.Pool has a goroutine for its whole
// life, and goleak.VerifyTestMain of a test binary would report the goroutine.
//
// Each connection names the run in the application_name. A run without a connection owns no
// database: see sweep.
type admins struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	idle []*pgx.Conn
}

const (
	adminName = "onepool testkit " // and the run
	// maxIdleAdmins is the number of connections that a process needs at the same time, as a
	// rule.
	maxIdleAdmins = 4
	// crowdedRetry is the pause before another attempt on a server without a free connection.
	crowdedRetry = 50 * time.Millisecond
)

func newAdmins(config *pgx.ConnConfig, run string) *admins {
	config.RuntimeParams["application_name"] = adminName + run
	// An idle connection proves that the run lives, and must stay open.
	config.RuntimeParams["idle_session_timeout"] = "0"
	return &admins{config: config}
}

// do calls fn with a connection. fn runs again, on a new connection, if the server ended
// the first before fn could send a statement.
func (a *admins) do(ctx context.Context, fn func(*pgx.Conn) error) error {
	for {
		conn, used, err := a.take(ctx)
		if err != nil {
			return err
		}
		err = fn(conn)
		a.give(ctx, conn)
		if err == nil || !used || !conn.IsClosed() || !pgconn.SafeToRetry(err) {
			return err
		}
	}
}

func (a *admins) take(ctx context.Context) (conn *pgx.Conn, used bool, err error) {
	a.mu.Lock()
	if n := len(a.idle); n > 0 {
		conn, a.idle = a.idle[n-1], a.idle[:n-1]
	}
	a.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	conn, err = connectPatiently(ctx, a.config)
	return conn, false, err
}

func (a *admins) give(ctx context.Context, conn *pgx.Conn) {
	a.mu.Lock()
	keep := !conn.IsClosed() && len(a.idle) < maxIdleAdmins
	if keep {
		a.idle = append(a.idle, conn)
	}
	a.mu.Unlock()
	if !keep {
		conn.Close(context.WithoutCancel(ctx))
	}
}

// to returns the administrator's configuration for another database.
func (a *admins) to(database string) *pgx.ConnConfig {
	config := a.config.Copy()
	config.Database = database
	return config
}

func (a *admins) close(ctx context.Context) {
	a.mu.Lock()
	idle := a.idle
	a.idle = nil
	a.mu.Unlock()
	for _, conn := range idle {
		conn.Close(ctx)
	}
}

// connectPatiently connects. If the server has no free connection, connectPatiently waits
// for another test to give a connection back, until ctx ends.
func connectPatiently(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil || !hasCode(err, tooManyConnections) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(crowdedRetry):
		}
	}
}

// SQLSTATEs.
const (
	tooManyConnections = "53300"
	objectInUse        = "55006"
	notPermitted       = "42501"
)

func hasCode(err error, codes ...string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains(codes, pgErr.Code)
}
