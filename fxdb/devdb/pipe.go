//go:build linux || darwin

package devdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// The kernel counts the users of a server: each user holds the write end of the server's fifo
// open, and the supervisor reads until the last write end is closed. The count stays right if a
// process is killed.
const (
	usersName   = "users"
	leavingName = "leaving" // the fifo's name when no new users may join
)

// A hold is a user's write end, as a bare descriptor: an *os.File is closed when garbage, and a
// caller that keeps only the URL would lose the server at the next collection. O_CLOEXEC keeps
// children from inheriting the descriptor.
type hold struct {
	fd    int
	close sync.Once
}

// openHold joins a server by the fifo. ENOENT and ENXIO mean that no supervisor reads the fifo
// any more.
func openHold(fifo string) (*hold, error) {
	fd, err := openFifo(fifo, syscall.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return &hold{fd: fd}, nil
}

// announce notifies a lingering supervisor of a new user. A full pipe notifies the supervisor
// too.
func (h *hold) announce() error {
	if _, err := syscall.Write(h.fd, []byte{'\n'}); err != nil && err != syscall.EAGAIN {
		return fmt.Errorf("devdb: users pipe: %w", err)
	}
	return nil
}

// release closes the write end. The kernel releases the descriptor for any result of close.
func (h *hold) release() { h.close.Do(func() { _ = syscall.Close(h.fd) }) }

// makeFifo makes the fifo of a new server in dir and opens both ends, so the server looks
// abandoned at no moment.
func makeFifo(dir string) (r *os.File, w *hold, err error) {
	fifo := filepath.Join(dir, usersName)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	rfd, err := openFifo(fifo, syscall.O_RDONLY)
	if err != nil {
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	// Opened without blocking, for lack of a writer; read with blocking.
	if err := syscall.SetNonblock(rfd, false); err != nil {
		_ = syscall.Close(rfd)
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	w, err = openHold(fifo)
	if err != nil {
		_ = syscall.Close(rfd)
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	return os.NewFile(uintptr(rfd), fifo), w, nil
}

// supervised reports whether a process reads the fifo of the server in dir. The check does no
// harm: the check counts as a user for no time. In doubt (too many open files, say) the answer
// is yes.
func supervised(dir string) bool {
	for _, name := range []string{usersName, leavingName} {
		h, err := openHold(filepath.Join(dir, name))
		if err == nil {
			h.release()
			return true
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENXIO) {
			return true
		}
	}
	return false
}

func openFifo(path string, mode int) (int, error) {
	for {
		fd, err := syscall.Open(path, mode|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}
