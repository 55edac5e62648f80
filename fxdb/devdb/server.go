package devdb

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// socketPort names the socket file. The server opens no TCP port, but PGPORT must not make
// server and clients disagree about the name: server and clients both get socketPort.
const socketPort = "5432"

// Server is a running PostgreSQL server, made by [Start].
type Server struct {
	dir     string
	version string
	bindir  string
	why     string
	shared  bool

	stop     func(context.Context) error
	stopOnce sync.Once
	stopErr  error
}

// URL returns the connection string of the administrator, the superuser
// "postgres" in the database "postgres".
func (s *Server) URL() string { return s.DatabaseURL("postgres", "postgres") }

// DatabaseURL returns the connection string for another role and database of the same server.
// DatabaseURL creates neither role nor database: see [Server.CreateDatabase].
func (s *Server) DatabaseURL(role, database string) string {
	return socketURL(s.dir, role, database)
}

// CreateDatabase creates a database that [RoleOwner] owns and [RoleApp] uses.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return fmt.Errorf("devdb: create database %s: %w", name, err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" owner "+RoleOwner)
	if err != nil {
		return fmt.Errorf("devdb: create database %s: %w", name, err)
	}
	return nil
}

// String describes the server in a line for people.
func (s *Server) String() string {
	kind := ""
	if s.shared {
		kind = ", shared"
	}
	return fmt.Sprintf("PostgreSQL %s from %s (%s), data in %s%s", s.version, s.bindir, s.why, s.dir, kind)
}

// Stop ends the use of the server. Stop stops a server of the caller's own, and returns once
// the server's processes and folder are gone. If the server is still up when ctx ends, Stop
// kills the server's processes and returns an error; Stop grants a second even if ctx has ended
// already. A shared server is only released, in no time. Calls after the first do nothing and
// return the same result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func socketURL(dir, role, database string) string {
	return "postgres:///" + url.PathEscape(database) +
		"?host=" + queryEscape(dir) + "&port=" + socketPort + "&user=" + queryEscape(role)
}

// queryEscape differs from url.QueryEscape in two ways: queryEscape writes a space as %20,
// since libpq takes "+" literally, and leaves slashes readable.
func queryEscape(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}
