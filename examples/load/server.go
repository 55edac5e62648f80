package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// database is the application's.
const database = "app"

// server is a PostgreSQL server that can be restarted, which those of devdb can't:
// their data goes when they end. Its data is a copy of an idle devdb server's, in
// that one's folder, so it goes with it, even where this program is killed; and a
// server without its data ends by itself.
type server struct {
	dev         *devdb.Server
	dir, bindir string
	options     string
	account     *syscall.SysProcAttr
}

func startServer(ctx context.Context) (*server, error) {
	dev, err := devdb.Start(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{dev: dev}
	if err := s.copy(ctx); err != nil {
		return nil, errors.Join(err, dev.Stop(ctx))
	}
	if err := s.ctl(ctx, "start", "-o", s.options); err != nil {
		return nil, errors.Join(err, dev.Stop(ctx))
	}
	return s, nil
}

// copy makes the data from devdb's after a checkpoint, which is what a crash would
// leave.
func (s *server) copy(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.dev.URL()) //nolint:forbidigo // not the application's
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var data string
	if err := conn.QueryRow(ctx, "select current_setting('data_directory'), setting from pg_config where name = 'BINDIR'").Scan(&data, &s.bindir); err != nil {
		return err
	}
	for _, sql := range []string{
		"create database " + database + " owner " + devdb.RoleOwner,
		"alter database " + database + " set synchronous_commit = on", // as is the default: what is committed survives a crash
		"checkpoint",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	home := filepath.Dir(data)
	s.dir = filepath.Join(home, "r")
	opts, err := os.ReadFile(filepath.Join(data, "postmaster.opts"))
	if err != nil {
		return err
	}
	_, args, _ := strings.Cut(strings.TrimSpace(string(opts)), " ")
	s.options = strings.ReplaceAll(args, home, s.dir)
	fi, err := os.Stat(data)
	if err != nil {
		return err
	}
	// Ctrl-C on the terminal is not for it.
	s.account = &syscall.SysProcAttr{Setsid: true}
	owner := fi.Sys().(*syscall.Stat_t)
	if int(owner.Uid) != os.Geteuid() { // this is root, as which PostgreSQL does not run
		s.account.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	script := exec.CommandContext(ctx, "sh", "-ec", `mkdir -m 700 "$2" && cp -a "$1" "$2" && rm "$2/data/postmaster.pid"`, "copy", data, s.dir)
	script.Dir, script.SysProcAttr = "/", s.account
	if out, err := script.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the server's data: %w; it says:\n%s", err, out)
	}
	return nil
}

func (s *server) url(role, database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&port=5432&user=%s", database, s.dir, role)
}

// connections is how many the application has, NaN where the server does not answer.
func (s *server) connections(ctx context.Context) (n float64) {
	conn, err := pgx.Connect(ctx, s.url("postgres", "postgres")) //nolint:forbidigo // not the application's
	if err != nil {
		return math.NaN()
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select count(*)::float8 from pg_stat_activity where datname = $1 and backend_type = 'client backend'", database).Scan(&n)
	if err != nil {
		return math.NaN()
	}
	return n
}

// restart stops the server as a crash does, and returns when it is there again,
// after its recovery.
func (s *server) restart(ctx context.Context) error {
	return s.ctl(ctx, "restart", "-m", "immediate", "-o", s.options)
}

func (s *server) stop(ctx context.Context) error {
	return errors.Join(s.ctl(ctx, "stop", "-m", "immediate"), s.dev.Stop(ctx))
}

func (s *server) ctl(ctx context.Context, args ...string) error {
	log := filepath.Join(s.dir, "log")
	cmd := exec.CommandContext(ctx, filepath.Join(s.bindir, "pg_ctl"), append([]string{"-D", filepath.Join(s.dir, "data"), "-l", log, "-s", "-w"}, args...)...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.account
	// Not its output: the server has it too, and Run would wait for that.
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log) // as much as there is
		return fmt.Errorf("pg_ctl %s: %w; the server's log:\n%s", args[0], err, said)
	}
	return nil
}
