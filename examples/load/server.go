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

// database is the name of the application's database.
const database = "app"

// server is a PostgreSQL server that can restart. A devdb server can't: devdb deletes the data when
// the devdb server ends. The server's data is a copy of an idle devdb server's data, in the devdb
// server's folder. devdb deletes the folder with the copy, even if the program is killed. A
// PostgreSQL server without data ends by itself.
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

// copy copies the devdb server's data after a checkpoint. The copy equals the data after a crash.
func (s *server) copy(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.dev.URL()) //nolint:forbidigo // outside the application
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
		// PostgreSQL's default: a commit survives a crash.
		"alter database " + database + " set synchronous_commit = on",
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
	// A separate session keeps Ctrl-C on the terminal away from the server.
	s.account = &syscall.SysProcAttr{Setsid: true}
	owner := fi.Sys().(*syscall.Stat_t)
	if int(owner.Uid) != os.Geteuid() { // the program runs as root, and PostgreSQL refuses root
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

// connections returns the number of the application's connections, NaN if the server does not
// answer.
func (s *server) connections(ctx context.Context) (n float64) {
	conn, err := pgx.Connect(ctx, s.url("postgres", "postgres")) //nolint:forbidigo // outside the application
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

// restart stops the server like a crash, starts the server again, and returns after the recovery.
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
	// The command's output is not read: the server inherits the output, and Run would wait for the
	// server's end.
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log) // an unreadable log counts as empty
		return fmt.Errorf("pg_ctl %s: %w; the server's log:\n%s", args[0], err, said)
	}
	return nil
}
