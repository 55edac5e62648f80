package devdb

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// socketPort names the socket file. No TCP port is opened, but PGPORT must not
// make server and clients disagree about the name, so both are told.
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

// DatabaseURL returns the connection string for another role and database of
// the same server. It creates neither.
func (s *Server) DatabaseURL(role, database string) string {
	return socketURL(s.dir, role, database)
}

// String describes the server in one line for people.
func (s *Server) String() string {
	kind := ""
	if s.shared {
		kind = ", shared"
	}
	return fmt.Sprintf("PostgreSQL %s from %s (%s), data in %s%s", s.version, s.bindir, s.why, s.dir, kind)
}

// Stop ends the use of the server. A server of the caller's own is stopped,
// and Stop returns once its processes and its folder are gone; if it is still
// there when ctx ends (a second is granted even if ctx has ended already), its
// processes are killed and Stop says so. A shared server is only let go, which
// takes no time. Calls after the first do nothing and return the same result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func socketURL(dir, role, database string) string {
	return "postgres:///" + url.PathEscape(database) +
		"?host=" + queryEscape(dir) + "&port=" + socketPort + "&user=" + queryEscape(role)
}

// queryEscape differs from url.QueryEscape in two ways: it writes a space as
// %20, since libpq takes "+" literally, and leaves slashes readable.
func queryEscape(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}
