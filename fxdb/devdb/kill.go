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

// killLimit is how long processes may take to end after a signal.
const killLimit = 5 * time.Second

// terminate makes the supervisor stop the server at once, users or not.
func (s *supervisor) terminate() {
	select {
	case <-s.gone: // a foreign process may have the process id now
	default:
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM) // end finds out whether the signal worked
	}
}

// kill ends a server that does not stop. The shell and the server are a process group;
// sessions of the server notice the server's end, and end.
func (s *supervisor) kill() error {
	segment := sharedMemory(s.dir)
	// watch reaps the shell and then closes gone at once: while gone is open the process id is
	// the shell's.
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-s.gone:
	case <-time.After(killLimit):
		return fmt.Errorf("processes still there %v after SIGKILL", killLimit)
	}
	if segment != "" {
		// Best effort: without ipcrm 56 bytes stay until the next boot.
		_ = exec.Command("ipcrm", "-m", segment).Run()
	}
	return nil
}

// sharedMemory returns the number of the System V segment that guards the data folder, "" if
// unknown. A killed server leaves the segment behind, and macOS allows no more than 32
// segments.
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
