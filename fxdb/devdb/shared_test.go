//go:build linux || darwin

package devdb

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestSharedServerIsOneForAll(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	const linger = 300 * time.Millisecond
	first := start(t, inDirs(base, testCache), Shared(), lingering(linger))
	second := start(t, inDirs(base, testCache), Shared(), lingering(linger))
	want := mustFacts(t, first)
	require.Equal(t, want, mustFacts(t, second))
	require.Contains(t, first.String(), "shared")
	require.Equal(t, want, startChild(t, "shared", base).facts)

	own := start(t, inDirs(base, testCache))
	require.NotEqual(t, want.Pid, mustFacts(t, own).Pid, "without Shared it is another one")

	require.NoError(t, first.Stop(t.Context()))
	require.NoError(t, first.Stop(t.Context()))
	require.Equal(t, want, mustFacts(t, second), "the starter has let go, others have not")
}

func TestSharedServerEndsAfterItsLastUser(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	child := startChild(t, "shared", base) // would linger for a minute
	s := start(t, inDirs(base, testCache), Shared())
	require.Equal(t, child.facts, mustFacts(t, s))
	require.NoError(t, s.Stop(t.Context()))
	child.kill()

	again := start(t, inDirs(base, testCache), Shared())
	require.Equal(t, child.facts, mustFacts(t, again), "it lingers after a SIGKILL of its starter")
	supervisor := processesNaming(t, again.dir+"/supervisor.sh")
	require.NotEmpty(t, supervisor)

	quick := newBase(t)
	last := start(t, inDirs(quick, testCache), Shared(), lingering(50*time.Millisecond))
	require.NoError(t, last.Stop(t.Context()))
	eventually(t, "it ends", func() bool { return len(serversIn(t, quick)) == 0 })
	requireNoProcesses(t, quick)

	require.NoError(t, syscall.Kill(child.facts.Pid, syscall.SIGQUIT)) // don't wait for the minute
	eventually(t, "the folder goes", func() bool { return gone(again.dir) })
}

func TestSharedServersOfManyStartersAreOne(t *testing.T) {
	size.SkipUnlessSoak(t, "TestSharedServerIsOneForAll")
	base := newBase(t)
	var wg sync.WaitGroup
	servers := make([]*Server, 8)
	for i := range servers {
		wg.Go(func() {
			var err error
			servers[i], err = Start(t.Context(), inDirs(base, testCache), Shared(), lingering(50*time.Millisecond))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, s := range servers {
		require.Equal(t, servers[0].dir, s.dir)
	}
	require.Len(t, serversIn(t, base), 1)
	for _, s := range servers {
		require.NoError(t, s.Stop(t.Context()))
	}
}

func TestSharedServerIsKeptByWhoComesDuringTheLinger(t *testing.T) {
	size.SkipUnlessSoak(t, "TestSharedServerIsOneForAll")
	base := newBase(t)
	opts := []Option{inDirs(base, testCache), Shared(), lingering(500 * time.Millisecond)}
	first := start(t, opts...)
	want := mustFacts(t, first)
	for range 5 { // comes and goes, which the supervisor must not miss
		require.NoError(t, start(t, opts...).Stop(t.Context()))
	}
	stays := start(t, opts...)
	require.NoError(t, first.Stop(t.Context()))
	// In the supervisor's place: the pipe is open, so it must not get to here.
	deadline := time.Now().Add(time.Second)
	eventually(t, "twice the linger passes", func() bool { return time.Now().After(deadline) })
	require.Equal(t, want, mustFacts(t, stays))
}

func TestDeadSharedServerIsReplaced(t *testing.T) {
	size.SkipUnlessSoak(t, "TestSharedServerIsOneForAll")
	base := newBase(t)
	opts := []Option{inDirs(base, testCache), Shared(), lingering(50 * time.Millisecond)}
	first := start(t, opts...)
	dead := mustFacts(t, first)
	require.NoError(t, syscall.Kill(dead.Pid, syscall.SIGQUIT))
	eventually(t, "its supervisor removes it, although it has a user", func() bool { return gone(dead.Dir) })

	second := start(t, opts...)
	require.NotEqual(t, dead.Pid, mustFacts(t, second).Pid)
}

func TestPointerToNowhereIsIgnored(t *testing.T) {
	base := newBase(t)
	cfg := newConfig([]Option{inDirs(base, testCache)})
	l, err := newLauncher(t.Context(), cfg)
	require.NoError(t, err)
	for _, name := range []string{"", "../elsewhere", "s-none"} {
		require.NoError(t, os.WriteFile(l.pointer(), []byte(name), 0o600))
		require.Nil(t, l.attach(t.Context()))
	}
}
