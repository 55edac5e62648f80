package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// process is the server as a process of its own.
type process struct {
	cmd       *exec.Cmd
	url, data string
	log       string // file of its standard error
}

// command is the server, or what else the arguments say, with these settings alone.
func command(env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), os.Args[0], args...)
	cmd.Env = append([]string{"ONEPOOL_APP_TEST_RUN=1", "ADDR=127.0.0.1:0"}, env...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DB_") && !strings.HasPrefix(kv, "DATABASE_URL=") && !strings.HasPrefix(kv, "PG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	return cmd
}

func startProcess(t *testing.T, env ...string) *process {
	t.Helper()
	p := &process{cmd: command(env)}
	p.log = filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(p.log)
	require.NoError(t, err)
	defer stderr.Close()
	p.cmd.Stderr = stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if database, ok := strings.CutPrefix(lines.Text(), "database: "); ok {
			p.data, _, _ = strings.Cut(database, ":5432/")
		}
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			p.url = url
			break
		}
	}
	if p.url == "" {
		_ = p.cmd.Wait()
	}
	return p
}

// wait returns how the process ended, and kills a process that does not end.
func (p *process) wait() error {
	hung := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer hung.Stop()
	return p.cmd.Wait()
}

func (p *process) stderr() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

func TestASignalStopsTheServerCleanly(t *testing.T) {
	t.Parallel()
	signals := []syscall.Signal{syscall.SIGTERM}
	if size.Of(false, true, true) {
		signals = append(signals, syscall.SIGINT)
	}
	if size.Of(false, true, true) && !signal.Ignored(syscall.SIGHUP) { // nohup's child goes on
		signals = append(signals, syscall.SIGHUP)
	}
	for _, sig := range signals {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := startProcess(t)
			require.NotEmpty(t, p.url, p.stderr())
			status, _ := call(t, http.MethodPost, p.url+"/agents", "acme", ada)
			require.Equal(t, http.StatusCreated, status)
			require.DirExists(t, p.data)
			http.DefaultClient.CloseIdleConnections()

			require.NoError(t, p.cmd.Process.Signal(sig))
			require.NoError(t, p.wait(), p.stderr())
			require.NoDirExists(t, p.data, "the throwaway server is still there")
		})
	}
}

// A load balancer learns of a stop from /readyz before the server takes no more requests.
func TestAStoppingServerIsNotReadyAndStillServes(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := startProcess(t, "DB_STOP_DELAY_MS=4000")
	require.NotEmpty(t, p.url, p.stderr())
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	}, time.Minute, time.Millisecond)
	status, body := call(t, http.MethodPost, p.url+"/agents", "acme", ada)
	require.Equal(t, http.StatusCreated, status, body)
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, p.wait(), p.stderr())
}

func TestAKilledServerLeavesNoDatabaseBehind(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb/devdb's TestServerOfKilledProcessIsGone")
	p := startProcess(t)
	require.NotEmpty(t, p.url, p.stderr())
	pid, err := os.ReadFile(filepath.Join(p.data, "data", "postmaster.pid"))
	require.NoError(t, err)
	var postmaster int
	_, err = fmt.Sscan(string(pid), &postmaster)
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Kill())
	require.Error(t, p.cmd.Wait())
	require.Eventually(t, func() bool {
		_, statErr := os.Stat(p.data)
		return errors.Is(statErr, os.ErrNotExist) && errors.Is(syscall.Kill(postmaster, 0), syscall.ESRCH)
	}, time.Minute, 10*time.Millisecond)
}

// The server starts nothing for an address in use. Otherwise the error would name a bad setting.
func TestAnAddressInUseIsFoundFirst(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := "ADDR=" + taken.Addr().String()
	for _, env := range [][]string{{addr}, {addr + "\n"}, {addr, "DB_POOL_MAX=none"}} {
		code, out, errs := runApp(t, env)
		require.Equal(t, 1, code)
		require.Contains(t, errs, "address already in use")
		require.Contains(t, errs, "set ADDR")
		require.NotContains(t, errs, "throwaway", "no server was started")
		require.NotContains(t, errs, "DB_POOL_MAX")
		require.Empty(t, out)
	}
	code, _, errs := runApp(t, []string{"ADDR=nonsense"})
	require.Equal(t, 1, code)
	require.Contains(t, errs, `listen on ADDR "nonsense"`)
	require.NotContains(t, errs, "throwaway")
}

func TestDatabaseURLIsUsedAndABadOneFailsTheStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := testkit.DB(t).Pool().Config().ConnString()
	p := startProcess(t, "DATABASE_URL="+url)
	require.Empty(t, p.url)
	require.Contains(t, p.stderr(), "DB_MIGRATE=true", "an empty database is used, and what is missing is said")

	p = startProcess(t, "DATABASE_URL="+url, "DB_POOL_MAX=none")
	require.Empty(t, p.url)
	require.Contains(t, p.stderr(), "DB_POOL_MAX")
	require.Equal(t, 1, p.cmd.ProcessState.ExitCode())
}
