//go:build linux || darwin

package devdb

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// killLimit is how long processes that were told to end may take.
const killLimit = 5 * time.Second

// terminate makes the supervisor stop the server at once, users or not.
func (s *supervisor) terminate() {
	select {
	case <-s.gone: // and its number may be another's
	default:
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM) // end finds out whether it worked
	}
}

// kill is for a server that does not stop. The shell and the server are one
// process group; sessions of the server notice that it is gone and end.
func (s *supervisor) kill() error {
	segment := sharedMemory(s.dir)
	// The shell is not reaped before gone is closed, so the number is still its own.
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-s.gone:
	case <-time.After(killLimit):
		return fmt.Errorf("processes still there %v after SIGKILL", killLimit)
	}
	if segment != "" {
		// As good as it gets: without ipcrm 56 bytes stay until the next boot.
		_ = exec.Command("ipcrm", "-m", segment).Run()
	}
	return nil
}

// sharedMemory returns the number of the System V segment that guards the data
// folder, "" if it is not known. A killed server leaves it behind, and macOS
// allows no more than 32 of them.
func sharedMemory(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return ""
	}
	if keyAndID := strings.Fields(lines[6]); len(keyAndID) == 2 {
		return keyAndID[1]
	}
	return ""
}
