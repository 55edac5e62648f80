//go:build linux || darwin

package devdb

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func ownerOf(fi fs.FileInfo) int { return int(fi.Sys().(*syscall.Stat_t).Uid) }

func TestRunDirectoryIsPrivateToTheServersAccount(t *testing.T) {
	acct, err := serverAccount()
	require.NoError(t, err)
	base := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.Mkdir(base, 0o755))
	for range 2 { // takes a wide one over and narrows it, and opens it again
		got, err := openBase(base, acct)
		require.NoError(t, err)
		require.Equal(t, base, got)
		fi, err := os.Stat(base)
		require.NoError(t, err)
		require.Equal(t, fs.ModeDir|0o700, fi.Mode())
		require.Equal(t, acct.uid, ownerOf(fi))
	}
}

func TestRunDirectoryOfSomeoneElseIsRefused(t *testing.T) {
	acct, err := serverAccount()
	require.NoError(t, err)
	dir := t.TempDir()

	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	_, err = openBase(link, acct)
	require.ErrorContains(t, err, "remove it or set TMPDIR")

	if os.Geteuid() != 0 {
		return // only root can give a folder away
	}
	foreign := filepath.Join(dir, "foreign")
	require.NoError(t, os.Mkdir(foreign, 0o700))
	require.NoError(t, os.Chown(foreign, 4711, -1))
	_, err = openBase(foreign, acct)
	require.ErrorContains(t, err, "but is by 4711")
}
