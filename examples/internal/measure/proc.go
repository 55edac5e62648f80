package measure

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The functions read Linux's /proc. On a different system, and for an ended process, the figures
// are NaN.

// ticks is the number of /proc's units of processor time in a second. The number is the same on
// every architecture that Go supports.
const ticks = 100

// process holds the figures of /proc/<pid>/stat.
type process struct {
	parent      int
	own, reaped float64 // processor time in seconds: of the process, and of ended children
}

func readProcess(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseProcess(b)
}

// parseProcess reads the fields behind the program's name. The name stands in parentheses, and may
// hold blanks and parentheses.
func parseProcess(stat []byte) (p process, err error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return p, fmt.Errorf("/proc: %d fields in stat, want 15 and more", len(fields))
	}
	var n [5]int
	for i, field := range []int{1, 11, 12, 13, 14} { // parent, utime, stime, cutime, cstime
		if n[i], err = strconv.Atoi(fields[field]); err != nil {
			return p, fmt.Errorf("/proc: %w", err)
		}
	}
	return process{n[0], float64(n[1]+n[2]) / ticks, float64(n[3]+n[4]) / ticks}, nil
}

// CPU returns the processor time of a process in seconds, to 10 ms.
func CPU(pid int) float64 {
	p, err := readProcess(pid)
	if err != nil {
		return math.NaN()
	}
	return p.own
}

// FamilyCPU returns the processor time in seconds of a process and of all the children, ended
// children included. For a server's first process, FamilyCPU returns the time of the whole server.
func FamilyCPU(pid int) float64 {
	for {
		head, err := readProcess(pid)
		if err != nil {
			return math.NaN()
		}
		sum := head.own + head.reaped
		entries, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
		for _, e := range entries {
			child, err := strconv.Atoi(filepath.Base(e))
			if err != nil {
				continue
			}
			if p, err := readProcess(child); err == nil && p.parent == pid { // a process may have ended
				sum += p.own
			}
		}
		// A child that was reaped after the first reading may be missing from the sum: read again.
		if after, err := readProcess(pid); err == nil && after.reaped == head.reaped {
			return sum
		}
	}
}

// PrivateMemory returns the sum of the processes' private, unshared memory in MiB.
func PrivateMemory(pids []int) (sum float64) {
	for _, pid := range pids {
		sum += memory(pid, "smaps_rollup", "Private_")
	}
	return sum
}

// ResidentMemory returns the memory of the process in MiB, shared memory included.
func ResidentMemory(pid int) float64 { return memory(pid, "status", "VmRSS:") }

func memory(pid int, file, prefix string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return math.NaN()
	}
	return sumKilobytes(b, prefix) / 1024
}

// sumKilobytes adds up the lines "<prefix>...: 12 kB", and returns NaN if no line has the prefix.
func sumKilobytes(b []byte, prefix string) float64 {
	sum, found := 0.0, false
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			return math.NaN()
		}
		kB, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return math.NaN()
		}
		sum, found = sum+kB, true
	}
	if !found {
		return math.NaN()
	}
	return sum
}
