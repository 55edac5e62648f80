//go:build linux || darwin

package devdb

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

func requireNoProcesses(t *testing.T, text string) {
	t.Helper()
	eventually(t, "processes naming "+text+" end", func() bool { return len(processesNaming(t, text)) == 0 })
}

func TestServerOfKilledProcessIsGone(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	c := startChild(t, "own", base)
	require.True(t, serves(t.Context(), c.facts.Pid, filepath.Join(c.facts.Dir, "data")))
	connect(t, socketURL(c.facts.Dir, "postgres", "postgres")) // that another process is connected is no reason to stay
	c.kill()
	eventually(t, "the folder goes", func() bool { return gone(c.facts.Dir) })
	requireNoProcesses(t, base)
}

func TestServerOfProcessThatExitsWithoutStopIsGone(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	c := startChild(t, "own", base)
	require.NoError(t, c.stdin.Close())
	require.NoError(t, c.cmd.Wait())
	eventually(t, "the folder goes", func() bool { return gone(c.facts.Dir) })
	requireNoProcesses(t, base)
}

// A starter may be killed at any moment of Start.
func TestServerOfStarterKilledWhileStarting(t *testing.T) {
	size.SkipUnlessSoak(t, "TestServerOfKilledProcessIsGone")
	base := newBase(t)
	_ = start(t, inDirs(base, testCache)).Stop(t.Context()) // so that the template is there
	for after := 10 * time.Millisecond; after < 150*time.Millisecond; after += 20 * time.Millisecond {
		c := spawn(t, "own", base)
		timer := time.AfterFunc(after, c.kill)
		_, _ = c.stdout.ReadString('\n') // its end, or that of the start
		timer.Stop()
		c.kill()
	}
	// Those killed before they had a supervisor leave a folder to the next.
	requireNoProcesses(t, base)
	require.NoError(t, start(t, inDirs(base, testCache)).Stop(t.Context()))
	eventually(t, "all folders go", func() bool { return len(serversIn(t, base)) == 0 })
}

func TestServerThatDiesTakesItsFolderAlong(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	s := start(t, inDirs(base, testCache))
	require.NoError(t, syscall.Kill(mustFacts(t, s).Pid, syscall.SIGINT))
	eventually(t, "the folder goes", func() bool { return gone(s.dir) })
	requireNoProcesses(t, base)
	require.NoError(t, s.Stop(t.Context()))
}

func TestASupervisorThatIsSignalledStopsTheServer(t *testing.T) {
	size.SkipUnlessSoak(t, "TestServerOfKilledProcessIsGone")
	base := newBase(t)
	s := start(t, inDirs(base, testCache))
	require.NoError(t, syscall.Kill(supervisorOf(t, s.dir), syscall.SIGTERM))
	eventually(t, "the folder goes", func() bool { return gone(s.dir) })
	requireNoProcesses(t, base)
}

func TestNextStartSweepsUpAfterKilledSupervisor(t *testing.T) {
	size.SkipUnlessSoak(t, "TestServerOfKilledProcessIsGone")
	base := newBase(t)
	left := start(t, inDirs(base, testCache), Shared(), lingering(50*time.Millisecond))
	pid := mustFacts(t, left).Pid
	for _, p := range processesNaming(t, left.dir+"/supervisor.sh") { // the shell and its watcher
		require.NoError(t, syscall.Kill(pidOf(t, p), syscall.SIGKILL))
	}
	eventually(t, "nobody reads the pipe", func() bool { return !supervised(left.dir) })
	require.True(t, serves(t.Context(), pid, filepath.Join(left.dir, "data")), "the server goes on")
	// What somebody else made there, and a folder from before a reboot whose
	// process id is a stranger's now.
	other := filepath.Join(base, "other")
	require.NoError(t, os.Mkdir(other, 0o700))
	stale := filepath.Join(base, instancePrefix+"stale")
	require.NoError(t, os.MkdirAll(filepath.Join(stale, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(stale, "data", "postmaster.pid"),
		[]byte(strconv.Itoa(os.Getpid())+"\n"), 0o600))
	inUse := start(t, inDirs(base, testCache))

	next := start(t, inDirs(base, testCache), Shared(), lingering(50*time.Millisecond))
	require.True(t, gone(left.dir))
	require.True(t, gone(stale))
	require.False(t, gone(other))
	requireNoProcesses(t, left.dir)
	require.NotEqual(t, pid, mustFacts(t, next).Pid)
	mustFacts(t, inUse)
}

// While the last users of a lingering server are served under the pipe's
// second name, a sweep must not take it for abandoned.
func TestServerThatLetsNobodyInAnyMoreIsNotSwept(t *testing.T) {
	size.SkipUnlessSoak(t, "TestSharedServerIsOneForAll")
	base := newBase(t)
	s := start(t, inDirs(base, testCache))
	require.NoError(t, os.Rename(filepath.Join(s.dir, usersName), filepath.Join(s.dir, leavingName)))
	start(t, inDirs(base, testCache))
	mustFacts(t, s)
}

func supervisorOf(t *testing.T, dir string) int {
	t.Helper()
	// The shell and its watcher have the same command line.
	ps := processesNaming(t, dir+"/supervisor.sh")
	require.Len(t, ps, 2)
	for _, p := range ps {
		if pgid, err := syscall.Getpgid(pidOf(t, p)); err == nil && pgid == pidOf(t, p) {
			return pgid
		}
	}
	t.Fatal("no supervisor leads its process group")
	return 0
}

func pidOf(t *testing.T, psLine string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.Fields(psLine)[1])
	require.NoError(t, err)
	return pid
}
