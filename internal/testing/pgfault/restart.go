package pgfault

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Restartable is a server that a test stops and starts again, with the same data at
// the same address. The data of a [Server] goes with the server.
type Restartable struct {
	*Server
	dir     string // holds the data, the socket and the log
	options string
	bindir  string
	owner   *syscall.SysProcAttr
}

// StartRestartable starts a server. The end of the test stops the server. The data is a
// copy of an idle server's data after a checkpoint, as a crash would leave the data. The
// copy lies in the idle server's folder, and goes with the folder even if the test is
// killed. A server without data ends by itself.
func StartRestartable(t testing.TB) *Restartable {
	t.Helper()
	template := Start(t)
	var data string
	r := &Restartable{}
	template.Admin(t, func(c *pgx.Conn) {
		must(t, c.QueryRow(context.Background(), "select current_setting('data_directory'), setting from pg_config where name = 'BINDIR'").Scan(&data, &r.bindir))
		_, err := c.Exec(context.Background(), "checkpoint")
		must(t, err)
	})
	home := filepath.Dir(data)
	r.dir = filepath.Join(home, "r")
	r.Server = &Server{Server: template.Server, socket: r.dir}

	must(t, os.Mkdir(r.dir, 0o700))
	must(t, exec.Command("cp", "-a", data, r.dir).Run())
	must(t, os.Remove(filepath.Join(r.data(), "postmaster.pid")))
	opts, err := os.ReadFile(filepath.Join(data, "postmaster.opts"))
	must(t, err)
	_, args, _ := strings.Cut(string(opts), " ")

	fi, err := os.Stat(data)
	must(t, err)
	account := fi.Sys().(*syscall.Stat_t)
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		r.owner = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account.Uid, Gid: account.Gid}}
		must(t, os.Chown(r.dir, int(account.Uid), int(account.Gid)))
	}
	r.options = strings.ReplaceAll(strings.TrimSpace(args), home, r.dir)
	r.options = strings.ReplaceAll(r.options, "wal_level=minimal", "wal_level=replica") // a standby needs replica
	r.ctl(t, "start", "-o", r.options)
	t.Cleanup(func() { r.Thaw(t); r.ctl(t, "stop", "-m", "immediate") })
	return r
}

func (r *Restartable) data() string { return filepath.Join(r.dir, "data") }

// Restart stops the server in a mode of pg_ctl, fast or immediate, waits for the time
// away, and starts the server with settings ("name=value") besides the server's own.
// Restart returns when the server is up.
func (r *Restartable) Restart(t testing.TB, mode string, away time.Duration, settings ...string) {
	t.Helper()
	r.ctl(t, "stop", "-m", mode)
	<-time.After(away)
	options := r.options
	for _, s := range settings {
		options += " -c " + s
	}
	r.ctl(t, "start", "-o", options)
}

// RestartAsStandby makes the server a hot standby without a primary: the standby
// answers reads, and refuses writes until pg_promote.
func (r *Restartable) RestartAsStandby(t testing.TB) {
	t.Helper()
	r.ctl(t, "stop", "-m", "fast")
	signal := filepath.Join(r.data(), "standby.signal")
	must(t, os.WriteFile(signal, nil, 0o600))
	if r.owner != nil {
		must(t, os.Chown(signal, int(r.owner.Credential.Uid), int(r.owner.Credential.Gid)))
	}
	r.ctl(t, "start", "-o", r.options)
}

func (r *Restartable) ctl(t testing.TB, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log := filepath.Join(r.dir, "log")
	cmd := exec.CommandContext(ctx, filepath.Join(r.bindir, "pg_ctl"), append([]string{"-D", r.data(), "-l", log, "-s", "-w"}, args...)...)
	cmd.Dir, cmd.SysProcAttr = r.dir, r.owner
	// The server inherits pg_ctl's output. If Go read the output, Run would wait for
	// the end of the server.
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log)
		t.Fatalf("pg_ctl %s: %v; the server's log:\n%s", strings.Join(args, " "), err, said)
	}
}

// Crashes counts in the server's log how often the server has ended all backends
// because a backend was killed.
func (r *Restartable) Crashes(t testing.TB) int {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(r.dir, "log"))
	must(t, err)
	return strings.Count(string(said), "all server processes terminated; reinitializing")
}
