package measure

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// Database is what the application's connections are opened on; those that look
// on are on another.
const Database = "bench"

// Server is a throwaway server with an empty database, and a look at it from the
// inside. It is not safe for concurrent use.
type Server struct {
	dev        *devdb.Server
	postmaster int
	admin      *pgx.Conn
}

// StartServer starts a server. Commits are not synced to a disk, as the data goes
// away with the server, but apart from that they are synchronous, as is
// PostgreSQL's default.
func StartServer(ctx context.Context) (*Server, error) {
	dev, err := devdb.Start(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{dev: dev}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the server: %w", err), s.Stop(ctx))
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) (err error) {
	if s.admin, err = pgx.Connect(ctx, s.dev.URL()); err != nil { //nolint:forbidigo // the observer is outside the pool that it observes
		return err
	}
	for _, sql := range []string{
		"create database " + Database + " owner " + devdb.RoleOwner,
		"alter database " + Database + " set synchronous_commit = on",
	} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	var pidFile string
	if err := s.admin.QueryRow(ctx, "select pg_read_file('postmaster.pid')").Scan(&pidFile); err != nil {
		return err
	}
	first, _, _ := strings.Cut(pidFile, "\n")
	s.postmaster, err = strconv.Atoi(first)
	return err
}

// Stop stops the server.
func (s *Server) Stop(ctx context.Context) error {
	if s.admin != nil {
		_ = s.admin.Close(ctx) // the server is going to end anyway
	}
	return s.dev.Stop(ctx)
}

// String describes the server in one line.
func (s *Server) String() string { return s.dev.String() }

// URL is the connection string of the application: a role that is bound by
// row-level security.
func (s *Server) URL() string { return s.dev.DatabaseURL(devdb.RoleApp, Database) }

// Setup runs SQL as the owner of the database.
func (s *Server) Setup(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.dev.DatabaseURL(devdb.RoleOwner, Database)) //nolint:forbidigo // as a migration
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

// Backends returns the processes that serve the application's connections.
func (s *Server) Backends(ctx context.Context) ([]int, error) {
	rows, err := s.admin.Query(ctx, "select pid from pg_stat_activity where datname = $1 and backend_type = 'client backend'", Database)
	if err != nil {
		return nil, fmt.Errorf("count backends: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("count backends: %w", err)
	}
	return pids, nil
}

// WaitForNoBackends waits until the server has closed the application's last
// connection, which it does a moment after the client.
func (s *Server) WaitForNoBackends(ctx context.Context) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("connections are left after %v", patience))
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		switch left, err := s.Backends(ctx); {
		case err != nil:
			return errors.Join(err, context.Cause(ctx))
		case len(left) == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// CPU returns the processor time in seconds that the server has used, NaN where the
// system does not tell.
func (s *Server) CPU() float64 { return FamilyCPU(s.postmaster) }
