package testkit

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// startTimeout covers a first start on the machine, initdb included.
const startTimeout = 60 * time.Second

// server is what this process's tests run on. It lives as long as the process:
// the throwaway server notices its end by itself.
type server struct {
	admin     *pgxpool.Pool
	url       func(role, database string) string
	run       string // tells this process's databases from those of others
	throwaway bool
	fast      bool // CREATE DATABASE by copying files is faster: nothing is synced to disk

	mu        sync.Mutex
	templates map[string]*template
}

var connect = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s := &server{run: strings.ToLower(rand.Text()[:8]), templates: make(map[string]*template)}
	adminURL := os.Getenv("TEST_DATABASE_URL")
	if adminURL != "" {
		s.url = func(role, database string) string { return rewrite(adminURL, role, database) }
	} else {
		dev, err := devdb.Start(ctx, devdb.Shared())
		if err != nil {
			return nil, fmt.Errorf("testkit: no server: %w", err)
		}
		adminURL, s.url, s.throwaway = dev.URL(), dev.DatabaseURL, true
	}
	pc, err := pgxpool.ParseConfig(adminURL)
	if err != nil {
		return nil, fmt.Errorf("testkit: TEST_DATABASE_URL can't be parsed: %w", err)
	}
	pc.MaxConns = 4
	pc.ConnConfig.RuntimeParams["application_name"] = "testkit"
	s.admin, err = pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("testkit: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		s.admin.Close()
		return nil, fmt.Errorf("testkit: prepare the server: %w", err)
	}
	return s, nil
})

// prepare makes the two roles where a server of the user's own lacks them.
func (s *server) prepare(ctx context.Context) error {
	var version int
	var fsync bool
	err := s.admin.QueryRow(ctx,
		"select current_setting('server_version_num')::int, current_setting('fsync')::bool").Scan(&version, &fsync)
	if err != nil {
		return err
	}
	s.fast = version >= 150000 && !fsync
	if s.throwaway {
		return nil
	}
	for _, role := range []string{devdb.RoleOwner, devdb.RoleApp} {
		_, err := s.admin.Exec(ctx, fmt.Sprintf(`do $$ begin
			create role %s login nosuperuser nobypassrls;
		exception when duplicate_object or unique_violation then null; end $$`, role))
		if err != nil {
			return fmt.Errorf("create role %s (TEST_DATABASE_URL must name a superuser): %w", role, err)
		}
	}
	return nil
}

// rewrite puts another role and database into a connection string of the
// user's. The server must let the roles in without a password of their own, or
// with the same one.
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
	return u.String()
}
