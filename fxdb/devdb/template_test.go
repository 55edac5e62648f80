//go:build linux || darwin

package devdb

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// templateIn returns the one template of a cache folder.
func templateIn(t *testing.T, cache string) (path string, fi fs.FileInfo) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(cache, "*"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	fi, err = os.Stat(all[0])
	require.NoError(t, err)
	return all[0], fi
}

func TestTemplateIsBuiltOnce(t *testing.T) {
	size.SkipShort(t)
	base, cache := newBase(t), t.TempDir()
	first := mustFacts(t, start(t, inDirs(base, cache)))
	_, before := templateIn(t, cache)
	second := mustFacts(t, start(t, inDirs(base, cache)))
	_, after := templateIn(t, cache)
	require.Equal(t, before.ModTime(), after.ModTime())
	require.Equal(t, first.SystemID, second.SystemID, "initdb has not run again")
	require.NotEqual(t, first.Pid, second.Pid)
}

func TestUnpackedFolderIsLikeTheOneThatWasPacked(t *testing.T) {
	src, dst, file := t.TempDir(), filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "f.tar")
	require.NoError(t, os.MkdirAll(filepath.Join(src, "a/empty"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(src, "a/file"), []byte("content"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(src, "none"), nil, 0o640))
	acct, err := serverAccount()
	require.NoError(t, err)

	require.NoError(t, pack(src, file))
	require.NoError(t, unpack(file, dst, acct))
	for name, mode := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o700, "a": fs.ModeDir | 0o700, "a/empty": fs.ModeDir | 0o700, "a/file": 0o600, "none": 0o640,
	} {
		fi, err := os.Stat(filepath.Join(dst, name))
		require.NoError(t, err)
		require.Equal(t, mode, fi.Mode(), name)
		require.Equal(t, acct.uid, ownerOf(fi), name)
	}
	content, err := os.ReadFile(filepath.Join(dst, "a/file"))
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
}

func TestDamagedTemplateIsRebuilt(t *testing.T) {
	size.SkipUnlessSoak(t, "TestTemplateIsBuiltOnce")
	base, cache := newBase(t), t.TempDir()
	first := mustFacts(t, start(t, inDirs(base, cache)))
	path, fi := templateIn(t, cache)
	sound, err := os.ReadFile(path)
	require.NoError(t, err)

	flipped := append([]byte(nil), sound...)
	flipped[len(flipped)/2] ^= 1 // in the contents of a file, where tar would not notice
	for name, damaged := range map[string][]byte{
		"truncated": sound[:len(sound)/3], "flipped bit": flipped, "empty": nil,
	} {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		s := start(t, inDirs(base, cache))
		require.NotEqual(t, first.SystemID, mustFacts(t, s).SystemID, "%s: initdb has run again", name)
		require.NoError(t, s.Stop(t.Context()))
		_, again := templateIn(t, cache)
		require.InDelta(t, fi.Size(), again.Size(), 1<<20, name)
	}
}

func TestCacheFallsBackToRunDirectory(t *testing.T) {
	size.SkipUnlessSoak(t, "TestTemplateIsBuiltOnce")
	base := newBase(t)
	t.Setenv("HOME", "") // what os.UserCacheDir asks for, on either system
	t.Setenv("XDG_CACHE_HOME", "")
	start(t, inDirs(base, ""))
	templateIn(t, filepath.Join(base, "cache"))
}

func TestCacheThatCannotBeWrittenIsNoObstacle(t *testing.T) {
	size.SkipUnlessSoak(t, "TestTemplateIsBuiltOnce")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	t.Setenv("HOME", file) // no folder can be made in it, not even by root
	t.Setenv("XDG_CACHE_HOME", filepath.Join(file, "cache"))
	base := newBase(t)
	start(t, inDirs(base, ""))
	templateIn(t, filepath.Join(base, "cache"))
}

func TestPruneRemovesWhatIsOldOnly(t *testing.T) {
	cache := t.TempDir()
	ages := map[string]time.Duration{
		"template-new.tar": 0, "template-old.tar": 40 * 24 * time.Hour,
		"template-1.tmp": time.Minute, "template-2.tmp": 2 * time.Hour, "other": 1000 * time.Hour,
	}
	for name, age := range ages {
		path := filepath.Join(cache, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	template{file: filepath.Join(cache, "template-new.tar")}.prune()
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{
		filepath.Join(cache, "other"), filepath.Join(cache, "template-1.tmp"), filepath.Join(cache, "template-new.tar"),
	}, left)
}
