package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/throwaway"
	"github.com/agentagency/onepool/testkit/internal/fallback"
)

// startTimeout covers a first start on the machine, initdb included.
const startTimeout = 60 * time.Second

// downloadTimeout covers the download of an image, or of server binaries, too.
const downloadTimeout = 10 * time.Minute

const containerPackage = "github.com/agentagency/onepool/testkit/container"

const envURL = "TEST_DATABASE_URL"

// server is a PostgreSQL server of the process's tests. The server lives as long as the
// process: a throwaway server notices the end of the last process.
type server struct {
	admin     *admins
	url       func(role, database string) string
	run       string // marks the databases of the process
	throwaway bool
	fast      bool // CREATE DATABASE by copying files is faster: nothing is synced to disk
	limit     int  // max_connections
	ahead     *ahead

	clonesFiles bool        // the server has file_copy_method = clone
	reflinks    atomic.Bool // the server's file system clones files, as far as known

	mu        sync.Mutex
	templates map[string]*template
}

// servers are the servers that the process's tests have asked for, by the superuser's
// connection string. The empty string stands for the server of tests without [Server].
var servers sync.Map // string -> func() (*server, error)

// Server puts the test's database on the server of url, a superuser's connection string:
// another version of PostgreSQL, or a container of testkit/container. A test without Server
// uses the server of TEST_DATABASE_URL or, if the variable is empty, a throwaway server.
func Server(url string) Option { return func(o *options) { o.server = url } }

// connectTo returns the server of url. The empty url stands for tests without [Server].
func connectTo(url string) (*server, error) {
	once, _ := servers.LoadOrStore(url, sync.OnceValues(func() (*server, error) {
		if url != "" {
			return openServer(url, "testkit.Server")
		}
		return choose(devdb.Start, fallback.Registered())
	}))
	return once.(func() (*server, error))()
}

// choose takes the first of these servers: the server of TEST_DATABASE_URL, local binaries, a
// container if the test binary imports testkit/container, downloaded binaries if the
// environment allows the download.
func choose(binaries func(context.Context, ...devdb.Option) (*devdb.Server, error), container fallback.Start) (*server, error) {
	if url := os.Getenv(envURL); url != "" {
		return openServer(url, envURL)
	}
	ctx, cancel := context.WithTimeout(context.Background(), downloadTimeout)
	defer cancel()
	dev, err := binaries(ctx, devdb.Shared(), devdb.Download(false))
	var notFound *devdb.NotFoundError
	if errors.As(err, &notFound) || errors.Is(err, errors.ErrUnsupported) {
		noContainer := fmt.Errorf("or import _ %q for a server in a container, or set %s", containerPackage, envURL)
		if container != nil {
			var url string
			if url, noContainer = container(ctx); noContainer == nil {
				return openServer(url, "the container")
			}
		}
		if dev, err = binaries(ctx, devdb.Shared()); err != nil { // downloads, if the environment says so
			err = errors.Join(err, noContainer)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("testkit: no server: %w", err)
	}
	s := newServer()
	s.throwaway, s.url = true, dev.DatabaseURL
	return s.prepared(ctx, dev.URL(), "the throwaway server")
}

// openServer connects to a server that devdb did not start.
func openServer(adminURL, name string) (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s := newServer()
	s.url = func(role, database string) string { return rewrite(adminURL, role, database) }
	s, err := s.prepared(ctx, adminURL, name)
	if err != nil {
		return nil, err
	}
	if err := s.createRoles(ctx); err != nil {
		s.admin.close(ctx)
		return nil, fmt.Errorf("testkit: prepare the server: %w", err)
	}
	return s, nil
}

func newServer() *server {
	s := &server{run: strings.ToLower(rand.Text()[:8]), templates: make(map[string]*template)}
	s.ahead = newAhead(s)
	return s
}

// prepared connects the administrator and asks how the server is set up.
func (s *server) prepared(ctx context.Context, adminURL, name string) (*server, error) {
	config, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return nil, fmt.Errorf("testkit: %s can't be parsed: %w", name, err)
	}
	s.admin = newAdmins(config, s.run)
	var version int
	var fsync, marked bool
	err = s.admin.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select current_setting('server_version_num')::int,
			current_setting('fsync')::bool, current_setting('max_connections')::int,
			coalesce(nullif(current_setting('`+throwaway.Mark+`', true), '')::bool, false),
			exists (select from pg_settings where name = 'file_copy_method' and 'clone' = any(enumvals))`).Scan(&version, &fsync, &s.limit, &marked, &s.clonesFiles)
	})
	if err != nil {
		return nil, fmt.Errorf("testkit: connect to %s: %w", name, err)
	}
	s.throwaway = s.throwaway || marked
	s.fast = version >= 150000 && !fsync
	s.reflinks.Store(s.clonesFiles)
	return s, nil
}

// createRoles makes the two roles if the server lacks the roles. The roles get the
// administrator's password, to log in with the same connection string.
func (s *server) createRoles(ctx context.Context) error {
	return s.admin.do(ctx, func(conn *pgx.Conn) error {
		var password string
		if pw := s.admin.config.Password; pw != "" {
			if err := conn.QueryRow(ctx, "select ' password ' || quote_literal($1::text)", pw).Scan(&password); err != nil {
				return err
			}
		}
		for _, role := range []string{devdb.RoleOwner, devdb.RoleApp} {
			var exists bool
			err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", role).Scan(&exists)
			if err == nil && !exists {
				_, err = conn.Exec(ctx, "create role "+role+" login nosuperuser nobypassrls"+password)
			}
			if err != nil && !hasCode(err, "42710", "23505") { // another process was first
				return fmt.Errorf("create role %s (%s must name a superuser): %w", role, envURL, err)
			}
		}
		return nil
	})
}

// rewrite puts another role and database into a connection string of the user's. The server
// must let the role in without a password, or with the user's password.
func rewrite(connString, role, database string) string {
	u, err := url.Parse(connString)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return fmt.Sprintf("%s user=%s dbname=%s", connString, role, database)
	}
	if pw, ok := u.User.Password(); ok {
		u.User = url.UserPassword(role, pw)
	} else {
		u.User = url.User(role)
	}
	u.Path = "/" + database
	q := u.Query()
	for _, other := range []string{"user", "dbname"} { // a parameter wins over the part before the question mark
		q.Del(other)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
