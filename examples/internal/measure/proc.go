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

// Everything here is from /proc, which is Linux's. Elsewhere, and of a process that
// is gone, the figures are NaN.

// ticks is how many units of processor time in /proc are one second, the same on
// every architecture that Go knows.
const ticks = 100

// process is what /proc/<pid>/stat says.
type process struct {
	parent      int
	own, reaped float64 // processor time in seconds: its own, and that of children that have ended
}

func readProcess(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseProcess(b)
}

// parseProcess reads the fields behind the program's name, which stands in
// parentheses and may hold blanks and parentheses itself.
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

// CPU returns the processor time in seconds that a process has used, to 10 ms.
func CPU(pid int) float64 {
	p, err := readProcess(pid)
	if err != nil {
		return math.NaN()
	}
	return p.own
}

// FamilyCPU returns the processor time in seconds that a process and all its
// children have used, those that have ended included: of a server's first process,
// that of the whole server.
func FamilyCPU(pid int) float64 {
	for {
		head, err := readProcess(pid)
		if err != nil {
			return math.NaN()
		}
		sum := head.own + head.reaped
		entries, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
		for _, e := range entries {
			child, err := strconv.Atoi(filepath.Base(e))
			if err != nil {
				continue
			}
			if p, err := readProcess(child); err == nil && p.parent == pid { // others may end meanwhile
				sum += p.own
			}
		}
		// A child that was reaped between the two looks is in neither.
		if after, err := readProcess(pid); err == nil && after.reaped == head.reaped {
			return sum
		}
	}
}

// PrivateMemory returns the MiB of memory that the processes share with no other.
func PrivateMemory(pids []int) (sum float64) {
	for _, pid := range pids {
		sum += memory(pid, "smaps_rollup", "Private_")
	}
	return sum
}

// ResidentMemory returns the MiB of memory of the process, shared or not.
func ResidentMemory(pid int) float64 { return memory(pid, "status", "VmRSS:") }

func memory(pid int, file, prefix string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return math.NaN()
	}
	return sumKilobytes(b, prefix) / 1024
}

// sumKilobytes adds up the lines "<prefix>...: 12 kB", NaN where there is none.
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
