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

// Database is the name of the application's database. The observer connects to a different
// database.
const Database = "bench"

// Server is a throwaway server with an empty database, and an observer's connection to the server.
// Server is not safe for concurrent use.
type Server struct {
	dev        *devdb.Server
	postmaster int
	admin      *pgx.Conn
}

// StartServer starts a server. Commits are synchronous, as PostgreSQL's default is. But the server
// syncs no commit to a disk, because the data ends with the server.
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
	if s.admin, err = pgx.Connect(ctx, s.dev.URL()); err != nil { //nolint:forbidigo // outside the observed pool
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

// URL returns the application's connection string. Row-level security binds the role.
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

// Backends returns the process ids of the backends that serve the application's connections.
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

// WaitForNoBackends waits until the server has closed the application's last connection. The server
// closes a connection a moment after the client.
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

// CPU returns the server's processor time in seconds, NaN if the system does not report the time.
func (s *Server) CPU() float64 { return FamilyCPU(s.postmaster) }
