package pgbouncer

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
)

const port = 6432

// Pooler is a PgBouncer in transaction mode.
type Pooler struct {
	dir  string
	base *pgx.ConnConfig // of the server
}

// supervisor ends PgBouncer, and removes its folder, with its standard input, which
// ends with the test's process, however that does.
const supervisor = `"$0" -q "$1/ini" & pooler=$!; read -r _; kill -KILL "$pooler"; wait "$pooler"; rm -rf "$1"`

// Start starts a pooler in front of the server that connString names, on a Unix
// socket of its own. settings are lines of its [pgbouncer] section, such as
// "default_pool_size = 2". Where there is no pgbouncer the test is skipped, and fails
// where CI is set.
func Start(t testing.TB, connString string, settings ...string) *Pooler {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			end := t.Skip
			if os.Getenv("CI") != "" {
				end = t.Fatal
			}
			end("there is no pgbouncer on this machine: apt-get install pgbouncer")
		}
	}
	base, err := pgx.ParseConfig(connString)
	if err != nil {
		t.Fatalf("pgbouncer: %v", err)
	}
	// Not t.TempDir: a socket's path must be short, and another account must enter.
	dir, err := os.MkdirTemp("", "pgbouncer-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Pooler{dir: dir, base: base}

	var users strings.Builder
	for _, name := range []string{devdb.RoleApp, devdb.RoleOwner, base.User} {
		fmt.Fprintf(&users, "%q \"\"\n", name)
	}
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
unix_socket_dir = %s
listen_port = %d
auth_type = trust
auth_file = %s
logfile = %s
pool_mode = transaction
admin_users = %s
%s
`, base.Host, base.Port, dir, port, filepath.Join(dir, "users"), filepath.Join(dir, "log"), base.User, strings.Join(settings, "\n"))
	for name, text := range map[string]string{"users": users.String(), "ini": ini} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", supervisor, program, dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: account(t, dir)}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("pgbouncer: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("pgbouncer's log ends with: %s", log[max(0, len(log)-4000):])
		}
		_ = stdin.Close()
		_ = cmd.Wait() // of a pooler that was killed
	})
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		conn, err := net.Dial("unix", p.Socket())
		if err == nil {
			conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer did not start: %v", err)
		}
	}
}

// account gives dir to whom the pooler runs as: not to root, which it refuses.
func account(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("pgbouncer refuses to run as root, and there is neither a user postgres nor nobody")
	return nil
}

// Socket is the path of the pooler's socket.
func (p *Pooler) Socket() string { return filepath.Join(p.dir, fmt.Sprintf(".s.PGSQL.%d", port)) }

// URL is the connection string through the pooler, for the role and database of the
// server's.
func (p *Pooler) URL() string { return p.url(p.base.Database) }

func (p *Pooler) url(database string) string {
	q := url.Values{"host": {p.dir}, "port": {strconv.Itoa(port)}, "user": {p.base.User}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Command runs a command of PgBouncer's console, such as "PAUSE".
func (p *Pooler) Command(t testing.TB, command string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.url("pgbouncer")+"&default_query_exec_mode=simple_protocol")
	if err == nil {
		_, err = conn.Exec(t.Context(), command)
		_ = conn.Close(context.WithoutCancel(t.Context()))
	}
	if err != nil {
		t.Fatalf("pgbouncer: %s: %v", command, err)
	}
}

// Database is the name of the server's database.
func (p *Pooler) Database() string { return p.base.Database }
