package pgbouncer_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/pgbouncer"
)

// TestAKilledTest does its work in a process that another test starts and kills.
func TestAKilledTest(t *testing.T) {
	if os.Getenv("ONEPOOL_PGBOUNCER_TO_BE_KILLED") == "" {
		return
	}
	fmt.Println(pgbouncer.Start(t, "host=/nowhere user=nobody").Socket())
	select {}
}

func TestNothingIsLeftOfAPoolerWhoseTestWasKilled(t *testing.T) {
	pgbouncer.Start(t, "host=/nowhere user=nobody") // or there is none on this machine
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledTest$")
	cmd.Env = append(os.Environ(), "ONEPOOL_PGBOUNCER_TO_BE_KILLED=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	socket := lines.Text()
	require.FileExists(t, socket)
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Dir(socket))
		return os.IsNotExist(err)
	}, time.Minute, time.Millisecond, "its folder")
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "its process, which would have kept the connection")
}
