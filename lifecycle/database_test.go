package lifecycle_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
)

// server is a PostgreSQL server with any number of databases.
type server struct {
	*pgfault.Server
	mu      sync.Mutex
	control *pgx.Conn // makes and drops databases
	made    int
}

// shared is the server of the tests that do not hurt a server.
var shared struct {
	once sync.Once
	*server
	err error
}

func stopSharedServer() error {
	if shared.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	return shared.Stop(ctx)
}

func sharedServer(t testing.TB) *server {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), hang)
		defer cancel()
		var dev *devdb.Server
		if dev, shared.err = devdb.Start(ctx); shared.err == nil {
			shared.server = &server{Server: &pgfault.Server{Server: dev}}
		}
	})
	require.NoError(t, shared.err)
	return shared.server
}

// ownServer starts a server for a test that hurts it.
func ownServer(t testing.TB) *server {
	s := &server{Server: pgfault.Start(t)}
	t.Cleanup(func() {
		if s.control != nil { // a clean close would wait for a server that does not answer
			_ = s.control.PgConn().Conn().Close()
		}
	})
	return s
}

// newDatabase makes a database on the shared server. It goes when the test ends.
func newDatabase(t testing.TB) *database {
	t.Helper()
	return sharedServer(t).database(t)
}

// database makes a database of the server's. A server of the test's own keeps it.
func (s *server) database(t testing.TB) *database {
	t.Helper()
	s.mu.Lock()
	s.made++
	db := &database{server: s, name: fmt.Sprintf("t%d", s.made)}
	s.mu.Unlock()
	// On a server whose files need not reach a disk, copies of files are made sooner than copies of pages.
	s.run(t, "create database "+db.name+" strategy file_copy")
	t.Cleanup(func() {
		if s == shared.server {
			defer s.run(t, "drop database "+db.name+" with (force)")
		}
		if db.admin != nil { // a clean close would wait for a server that does not answer
			_ = db.admin.PgConn().Conn().Close()
		}
	})
	return db
}

func (s *server) run(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.control == nil || s.control.IsClosed() {
		var err error
		s.control, err = pgx.Connect(ctx, s.URL())
		require.NoError(t, err)
	}
	_, err := s.control.Exec(ctx, sql)
	require.NoError(t, err)
}

// database is one test's own.
type database struct {
	server *server
	name   string
	admin  *pgx.Conn // made when it is asked for
}

// URL is the administrator's connection string.
func (db *database) URL() string { return db.server.DatabaseURL("postgres", db.name) }

// newRole makes a role that may connect and is no superuser. It goes when the test ends.
func (db *database) newRole(t testing.TB) (name string) {
	t.Helper()
	name = db.name + "_role"
	db.server.run(t, "create role "+name+" login")
	t.Cleanup(func() { db.server.run(t, "drop role "+name) })
	return name
}

// Forward passes connections that ln takes to the server, until ln is closed.
func (db *database) Forward(ln net.Listener) { db.server.Forward(ln) }

// Admin is a connection of the administrator's, for the test's goroutine.
func (db *database) Admin(t testing.TB) *pgx.Conn {
	t.Helper()
	if db.admin == nil {
		var err error
		db.admin, err = pgx.Connect(bounded(t), db.URL())
		require.NoError(t, err)
	}
	return db.admin
}

// WaitFor waits until the server answers true.
func (db *database) WaitFor(t testing.TB, sql string, args ...any) {
	t.Helper()
	ctx, admin := bounded(t), db.Admin(t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var ok bool
		require.NoError(t, admin.QueryRow(ctx, sql, args...).Scan(&ok), "waiting for: %s %v", sql, args)
		if ok {
			return
		}
		<-tick.C
	}
}

// WaitForBackends waits until the server has so many of the pool's connections.
func (db *database) WaitForBackends(t testing.TB, n int) {
	t.Helper()
	db.WaitFor(t, "select count(*) = $1 from pg_stat_activity where application_name = $2 and datname = current_database()", n, applicationName)
}

// WaitForQuery waits until the server runs the statement.
func (db *database) WaitForQuery(t testing.TB, query string) {
	t.Helper()
	db.WaitFor(t, "select exists (select from pg_stat_activity where state = 'active' and query = $1 and datname = current_database())", query)
}
