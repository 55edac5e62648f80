//go:build linux || darwin

package devdb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// testCache is the template cache of the tests that don't care for the template.
var testCache string

func TestMain(m *testing.M) {
	if os.Getenv("DEVDB_TEST_CHILD") != "" {
		child()
		return
	}
	dir, err := os.MkdirTemp("", "onepool-test")
	if err != nil {
		panic(err)
	}
	testCache = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// facts distinguish one server from the next.
type facts struct {
	Dir      string
	Pid      int
	Started  string
	SystemID string
}

// child is a process that uses a server until its standard input ends, and
// then ends without Stop.
func child() {
	opts := []Option{inDirs(os.Getenv("DEVDB_TEST_BASE"), os.Getenv("DEVDB_TEST_CACHE"))}
	if os.Getenv("DEVDB_TEST_CHILD") == "shared" {
		opts = append(opts, Shared(), lingering(time.Minute))
	}
	ctx := context.Background()
	s, err := Start(ctx, opts...)
	if err == nil {
		var f facts
		if f, err = factsOf(ctx, s); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(f)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

type childProcess struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr bytes.Buffer
	ended  sync.Once
	facts  facts
}

// spawn runs this test binary again as a child that uses a server.
func spawn(t *testing.T, kind, base string) *childProcess {
	t.Helper()
	c := &childProcess{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), "DEVDB_TEST_CHILD="+kind, "DEVDB_TEST_BASE="+base, "DEVDB_TEST_CACHE="+testCache)
	c.cmd.Stderr = &c.stderr
	var err error
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.stdout = bufio.NewReader(stdout)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(c.kill)
	return c
}

// startChild waits until the child has its server.
func startChild(t *testing.T, kind, base string) *childProcess {
	t.Helper()
	c := spawn(t, kind, base)
	line, err := c.stdout.ReadBytes('\n')
	if err != nil {
		c.kill()
		t.Fatalf("child: %v\n%s", err, &c.stderr)
	}
	require.NoError(t, json.Unmarshal(line, &c.facts))
	return c
}

// kill returns when the child is no more.
func (c *childProcess) kill() {
	c.ended.Do(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		_ = c.cmd.Wait()         // and was killed, so this is an error
	})
}

func factsOf(ctx context.Context, s *Server) (f facts, err error) {
	f.Dir = s.dir
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return f, err
	}
	err = conn.QueryRow(ctx, `select split_part(pg_read_file('postmaster.pid'), e'\n', 1)::int,
		pg_postmaster_start_time()::text, (select system_identifier::text from pg_control_system())`).
		Scan(&f.Pid, &f.Started, &f.SystemID)
	return f, joinClose(err, conn.Close(ctx))
}

func joinClose(err, closing error) error {
	if err != nil {
		return err
	}
	return closing
}

func mustFacts(t *testing.T, s *Server) facts {
	t.Helper()
	f, err := factsOf(t.Context(), s)
	require.NoError(t, err)
	return f
}

func inDirs(base, cache string) Option {
	return func(c *config) { c.base, c.cache = base, cache }
}

func lingering(d time.Duration) Option { return func(c *config) { c.linger = d } }

// newBase returns a run directory of the test's own, and looks at the end
// whether the test has left processes there.
func newBase(t *testing.T) string {
	t.Helper()
	// Not t.TempDir: sockets need a short path that every user can enter.
	dir, err := os.MkdirTemp(filepath.Dir(chooseBase()), "odt") //nolint:usetesting // see above
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		eventually(t, "processes of "+dir+" end", func() bool { return len(processesNaming(t, dir)) == 0 })
		require.NoError(t, os.RemoveAll(dir))
	})
	return filepath.Join(dir, "b")
}

// start starts a server that the test must not leave behind.
func start(t *testing.T, opts ...Option) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone, as it should
	return conn
}

// processesNaming lists the living processes with the text in their command line.
func processesNaming(t *testing.T, text string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-axwwo", "stat=,pid=,command=").Output()
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, text) && !strings.HasPrefix(line, "Z") {
			found = append(found, line)
		}
	}
	return found
}

// serversIn lists the folders of servers in a run directory.
func serversIn(t *testing.T, base string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(base, instancePrefix+"*"))
	require.NoError(t, err)
	return dirs
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

func requireNothingLeft(t *testing.T, base string) {
	t.Helper()
	require.Empty(t, serversIn(t, base))
	require.Empty(t, processesNaming(t, base))
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}
