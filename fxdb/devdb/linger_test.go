//go:build linux || darwin

package devdb

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// A user who comes and goes during a nap of the supervisor begins the linger again. The
// rest of the nap must not double the linger.
func TestTheLingerAfterAShortUserIsNoTwoLingers(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	dir := filepath.Dir(base)
	naps, release := filepath.Join(dir, "naps"), filepath.Join(dir, "release")
	require.NoError(t, os.WriteFile(naps, nil, 0o600))
	require.NoError(t, os.Chmod(naps, 0o666)) // the server's account writes
	bin := filepath.Join(dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	// A sleep that takes no time, except for the first.
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sleep"),
		[]byte("#!/bin/sh\necho \"$1\" >>"+naps+"\nwhile [ ! -e "+release+" ]; do /bin/sleep 0.01; done\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))

	const linger = 10 * time.Second
	opts := []Option{inDirs(base, testCache), Shared(), lingering(linger)}
	first := start(t, opts...)
	require.NoError(t, first.Stop(t.Context()))
	slept := func() []string {
		text, err := os.ReadFile(naps)
		require.NoError(t, err)
		return strings.Fields(string(text))
	}
	eventually(t, "the supervisor naps", func() bool { return len(slept()) == 1 })
	second := start(t, opts...)
	require.Equal(t, first.dir, second.dir)
	require.NoError(t, second.Stop(t.Context()))
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	eventually(t, "the server ends", func() bool { return gone(first.dir) })
	var sum float64 // from the first nap on, during which the second user came and went
	for _, nap := range slept() {
		seconds, err := strconv.ParseFloat(nap, 64)
		require.NoError(t, err)
		sum += seconds
	}
	require.InDelta(t, linger.Seconds(), sum, linger.Seconds()/5)
}
