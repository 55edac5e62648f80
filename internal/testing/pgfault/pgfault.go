package pgfault

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// patience bounds every wait: only a hang breaks the bound.
const patience = time.Minute

// Server is the server of a single test.
type Server struct {
	*devdb.Server
	socket string // folder of the socket; empty for the folder of devdb's server
	frozen []int
}

// Start starts a server. The end of the test stops the server.
func Start(t testing.TB) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dev, err := devdb.Start(ctx)
	if err != nil {
		t.Fatalf("start a server: %v", err)
	}
	s := &Server{Server: dev}
	t.Cleanup(func() {
		s.Thaw(t)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := dev.Stop(ctx); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return s
}

// DatabaseURL is the connection string for a role and a database.
func (s *Server) DatabaseURL(role, database string) string {
	devs := s.Server.DatabaseURL(role, database)
	u, err := url.Parse(devs)
	if s.socket == "" || err != nil {
		return devs
	}
	params := u.Query()
	params.Set("host", s.socket)
	u.RawQuery = params.Encode()
	return u.String()
}

// URL is the administrator's connection string.
func (s *Server) URL() string { return s.DatabaseURL("postgres", "postgres") }

// AppURL is the restricted role's connection string.
func (s *Server) AppURL() string { return s.DatabaseURL(devdb.RoleApp, "postgres") }

// Admin runs fn with a connection of the administrator's.
func (s *Server) Admin(t testing.TB, fn func(*pgx.Conn)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn := s.connect(ctx, t)
	defer conn.Close(ctx)
	fn(conn)
}

// connect waits for a server that starts, or that recovers from the crash of a backend.
func (s *Server) connect(ctx context.Context, t testing.TB) *pgx.Conn {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn
		}
		const cannotConnectNow = "57P03"
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != cannotConnectNow || ctx.Err() != nil {
			t.Fatalf("connect as administrator: %v", err)
		}
		<-tick.C
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WaitFor waits until the server answers true.
func (s *Server) WaitFor(t testing.TB, sql string, args ...any) {
	t.Helper()
	s.Admin(t, func(c *pgx.Conn) {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); ; <-tick.C {
			var ok bool
			if err := c.QueryRow(context.Background(), sql, args...).Scan(&ok); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited %s for: %s %v", patience, sql, args)
			}
		}
	})
}

// WaitForNoBackends waits until the server has no backend of the application left.
func (s *Server) WaitForNoBackends(t testing.TB, application string) {
	t.Helper()
	s.WaitFor(t, "select count(*) = 0 from pg_stat_activity where application_name = $1", application)
}

// WaitForQuery waits until the server runs the statement.
func (s *Server) WaitForQuery(t testing.TB, query string) {
	t.Helper()
	s.WaitFor(t, "select exists (select from pg_stat_activity where state = 'active' and query = $1)", query)
}

// KillBackend kills a backend of the application with SIGKILL. The server then takes
// the shared memory for damaged, ends all backends and starts anew.
func (s *Server) KillBackend(t testing.TB, application string) {
	t.Helper()
	var pid int
	s.Admin(t, func(c *pgx.Conn) {
		must(t, c.QueryRow(context.Background(), "select pid from pg_stat_activity where application_name = $1 limit 1", application).Scan(&pid))
	})
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}

// TerminateBackends ends all of the application's connections.
func (s *Server) TerminateBackends(t testing.TB, application string) {
	t.Helper()
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(context.Background(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", application)
		must(t, err)
	})
}

// Freeze stops every process of the server with SIGSTOP: connections stay open, the
// kernel accepts new connections, and no process answers. [Server.Thaw] ends the
// freeze, and so does the end of the test.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn := s.connect(ctx, t)
	// A clean close would wait for an answer of the frozen server.
	defer conn.PgConn().Conn().Close()

	var pidFile string
	if err := conn.QueryRow(ctx, "select pg_read_file('postmaster.pid')").Scan(&pidFile); err != nil {
		t.Fatalf("freeze: %v", err)
	}
	first, _, _ := strings.Cut(pidFile, "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("freeze: postmaster.pid: %v", err)
	}
	// A stopped postmaster starts no process behind the list.
	s.frozen = []int{postmaster}
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		t.Fatalf("freeze: %v", err)
	}
	rows, err := conn.Query(ctx, "select pid from pg_stat_activity")
	if err != nil {
		t.Fatalf("freeze: %v", err)
	}
	children, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatalf("freeze: %v", err)
	}
	for _, pid := range children {
		s.frozen = append(s.frozen, pid)
		_ = syscall.Kill(pid, syscall.SIGSTOP) // the process may have ended meanwhile
	}
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(testing.TB) {
	for _, pid := range s.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.frozen = nil
}

// Kill ends the server as a crash of the machine does: no process says good-bye to a
// client. When Kill returns, the kernel refuses new connections.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.Freeze(t)
	postmaster, children := s.frozen[0], s.frozen[1:]
	s.frozen = nil
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// A postmaster that is killed by SIGKILL leaves shared memory behind.
	_ = syscall.Kill(postmaster, syscall.SIGQUIT)
	_ = syscall.Kill(postmaster, syscall.SIGCONT)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); syscall.Kill(postmaster, 0) == nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("kill: the server is still there after %s", patience)
		}
	}
}

// Forward passes the connections of ln to the server, until ln is closed.
func (s *Server) Forward(ln net.Listener) {
	cfg, err := pgx.ParseConfig(s.URL())
	if err != nil {
		return
	}
	network, addr := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial(network, addr)
		if err != nil {
			in.Close()
			continue
		}
		// The end of a side closes both sides: both goroutines end.
		pass := func(dst, src net.Conn) {
			_, _ = io.Copy(dst, src)
			dst.Close()
			src.Close()
		}
		go pass(in, out)
		go pass(out, in)
	}
}
