package openapitest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// startServer builds the agency server from the root module, and runs it on a throwaway
// database until the test ends. It returns the server's address.
func startServer(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./app")
	build.Dir = "../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	cmd := exec.Command(program)
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "DB_") && !strings.HasPrefix(setting, "DATABASE_URL=") && !strings.HasPrefix(setting, "PG") {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.Env = append(cmd.Env, "ADDR=127.0.0.1:0")
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		_ = log.Close()
		if text, _ := os.ReadFile(log.Name()); err != nil || t.Failed() {
			t.Logf("the server ended with %v; the end of its log:\n%s", err, text[max(0, len(text)-8000):])
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return url
		}
	}
	text, _ := os.ReadFile(log.Name())
	require.Fail(t, "the server did not start", string(text))
	return ""
}
