//go:build linux || darwin

package devdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// roomNeeded is the free space that /dev/shm must have: a container's default
// of 64 MiB would be full in no time.
const roomNeeded = 1 << 30

// chooseBase returns the folder that holds all of the user's servers, in
// memory if possible: a server makes and deletes thousands of small files.
func chooseBase() string {
	parent := os.TempDir()
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err == nil && uint64(st.Bavail)*uint64(st.Bsize) >= roomNeeded {
		parent = "/dev/shm"
	}
	return filepath.Join(parent, "onepool-"+strconv.Itoa(os.Geteuid()))
}

// openBase makes base if need be. It belongs to the server's account, as the
// supervisor removes folders in it. The parent is writable by everyone, so a
// folder that is there already may be somebody's trap.
func openBase(base string, acct account) (string, error) {
	base, err := filepath.Abs(base) // TMPDIR may be relative
	if err != nil {
		return "", fmt.Errorf("devdb: run directory: %w", err)
	}
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("devdb: run directory: %w; set TMPDIR to a folder that can be written to", err)
	}
	fi, err := os.Lstat(base)
	if err != nil {
		return "", fmt.Errorf("devdb: run directory: %w", err)
	}
	owner := int(fi.Sys().(*syscall.Stat_t).Uid)
	if !fi.IsDir() || owner != acct.uid && owner != os.Geteuid() {
		return "", fmt.Errorf("devdb: run directory %s must be a folder owned by user id %d, but is %v owned by %d; remove it or set TMPDIR",
			base, acct.uid, fi.Mode(), owner)
	}
	if err := errors.Join(acct.own(base), os.Chmod(base, 0o700)); err != nil {
		return "", fmt.Errorf("devdb: run directory: %w", err)
	}
	return base, nil
}
