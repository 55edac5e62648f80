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

// roomNeeded is the free space that /dev/shm must have, in bytes: servers would fill a
// container's default of 64 MiB in no time.
const roomNeeded = 1 << 30

// chooseBase returns the folder of all of the user's servers, in memory if possible: a server
// makes and deletes thousands of small files.
func chooseBase() string {
	parent := os.TempDir()
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err == nil && uint64(st.Bavail)*uint64(st.Bsize) >= roomNeeded { //nolint:unconvert // the types differ between systems
		parent = "/dev/shm"
	}
	return filepath.Join(parent, "onepool-"+strconv.Itoa(os.Geteuid()))
}

// openBase makes base if need be. base belongs to the server's account, as the supervisor
// removes folders in base. Everyone may write to the parent, so an existing folder may be
// somebody's trap.
func openBase(base string, acct account) (string, error) {
	base, err := filepath.Abs(base) // TMPDIR may be relative
	if err != nil {
		return "", fmt.Errorf("devdb: run directory: %w", err)
	}
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("devdb: run directory: %w; set TMPDIR to a folder that can be written to", err)
	}
	// Checked and changed through the same descriptor: nobody can exchange a descriptor's
	// folder.
	dir, err := os.OpenFile(base, syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", fmt.Errorf("devdb: run directory: %w; remove it or set TMPDIR", err)
	}
	return base, errors.Join(takeOver(dir, acct), dir.Close())
}

func takeOver(dir *os.File, acct account) error {
	fi, err := dir.Stat()
	if err != nil {
		return fmt.Errorf("devdb: run directory: %w", err)
	}
	if owner := int(fi.Sys().(*syscall.Stat_t).Uid); owner != acct.uid && owner != os.Geteuid() {
		return fmt.Errorf("devdb: run directory %s must be owned by user id %d, but is by %d; remove it or set TMPDIR",
			dir.Name(), acct.uid, owner)
	}
	err = dir.Chmod(0o700)
	if acct.credential != nil {
		err = errors.Join(err, dir.Chown(acct.uid, acct.gid))
	}
	if err != nil {
		return fmt.Errorf("devdb: run directory: %w", err)
	}
	return nil
}
