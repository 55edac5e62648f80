//go:build linux || darwin

package devdb

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// findAbandoned returns the folders of servers in base whose supervisor is gone: after a
// SIGKILL to the supervisor or a crash of the machine. The caller holds the lock of
// newInstance, so no concurrent process is making a folder.
func findAbandoned(base string) []string {
	entries, _ := os.ReadDir(base) // an unreadable folder can't be cleared either
	var abandoned []string
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		if e.IsDir() && strings.HasPrefix(e.Name(), instancePrefix) && !supervised(dir) {
			abandoned = append(abandoned, dir)
		}
	}
	return abandoned
}

// removeAbandoned removes an abandoned folder and the server that may still run in the folder.
// removeAbandoned reports no errors: the next start tries again, and the present start needs no
// clean-up.
func removeAbandoned(ctx context.Context, dir string) {
	data := filepath.Join(dir, "data")
	pid := postmasterPID(data)
	if serves(ctx, pid, data) {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		ctx, cancel := context.WithTimeout(ctx, killLimit)
		defer cancel()
		tick := time.NewTicker(readyEvery)
		defer tick.Stop()
		for serves(ctx, pid, data) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
	_ = os.RemoveAll(dir)
}

// postmasterPID returns the process id that the server has left in the data folder, 0 if none.
// In single-user mode the server writes the id as a negative number.
func postmasterPID(data string) int {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return max(pid, -pid)
}

// serves reports whether the process is the server of the given data folder: the system reuses
// process ids, and a signal must not hit a stranger.
func serves(ctx context.Context, pid int, data string) bool {
	if pid <= 1 {
		return false
	}
	var args []byte
	var err error
	if runtime.GOOS == "linux" {
		args, err = os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	} else {
		args, err = exec.CommandContext(ctx, "ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && bytes.Contains(args, []byte(data)) // of a zombie nothing is shown
}
