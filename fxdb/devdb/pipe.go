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

// The users of a server are counted by the kernel: each holds the write end of
// the server's fifo open, and its supervisor reads until the last one is
// closed. No count can go wrong when a process is killed.
const (
	usersName   = "users"
	leavingName = "leaving" // its name when no new users are let in
)

// A hold is one user's write end. It is a bare descriptor because an os.File is
// closed when it becomes garbage: a caller that keeps only the URL would lose
// the server at the next collection. O_CLOEXEC keeps it from children.
type hold struct {
	fd    int
	close sync.Once
}

// openHold enters a server by its fifo. ENOENT and ENXIO mean that there is no
// supervisor any more that reads it.
func openHold(fifo string) (*hold, error) {
	fd, err := openFifo(fifo, syscall.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return &hold{fd: fd}, nil
}

// announce tells a lingering supervisor that somebody came. A pipe too full to
// take the line says the same.
func (h *hold) announce() error {
	if _, err := syscall.Write(h.fd, []byte{'\n'}); err != nil && err != syscall.EAGAIN {
		return fmt.Errorf("devdb: users pipe: %w", err)
	}
	return nil
}

// release lets go. The kernel releases the descriptor whatever close returns.
func (h *hold) release() { h.close.Do(func() { _ = syscall.Close(h.fd) }) }

// makeFifo makes the fifo of a new server in dir and opens both ends, so that
// there is no moment at which it looks abandoned.
func makeFifo(dir string) (r *os.File, w *hold, err error) {
	fifo := filepath.Join(dir, usersName)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	rfd, err := openFifo(fifo, syscall.O_RDONLY)
	if err != nil {
		return nil, nil, fmt.Errorf("devdb: users pipe: %w", err)
	}
	// Opened without blocking, as there was no writer yet; read with blocking.
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

// supervised tells whether some process reads the fifo of the server in dir.
// Looking does no harm: it counts as a user for no time. In doubt (too many
// open files, say) the answer is yes.
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
