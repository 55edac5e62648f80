//go:build linux || darwin

package devdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agentagency/onepool/internal/throwaway"
)

const (
	// instancePrefix begins the names of the servers' folders in the run directory.
	instancePrefix = "s-"
	// maxSocketPath is the longest socket address on macOS, in bytes; Linux allows 4 more.
	maxSocketPath = 103
)

// An instance is the folder of a server: data/, the socket, the log and the fifo. Until a
// supervisor takes over, the starting process reads the fifo and keeps sweeps away.
type instance struct {
	dir    string
	reader *os.File
	hold   *hold
}

// newInstance makes a server's folder, and removes the folders of killed supervisors.
func newInstance(ctx context.Context, base string) (*instance, error) {
	unlock, err := lock(ctx, filepath.Join(base, "folders.lock"))
	if err != nil {
		return nil, err
	}
	abandoned := findAbandoned(base)
	inst, err := makeInstance(base)
	unlock()
	if err != nil {
		return nil, err
	}
	// Outside the lock: no server takes up an abandoned folder again, and two processes may
	// remove the same folder.
	for _, dir := range abandoned {
		removeAbandoned(ctx, dir)
	}
	return inst, nil
}

func makeInstance(base string) (*instance, error) {
	dir, err := os.MkdirTemp(base, instancePrefix)
	if err != nil {
		return nil, fmt.Errorf("devdb: server folder: %w", err)
	}
	inst := &instance{dir: dir}
	if err = checkSocketPath(filepath.Join(dir, ".s.PGSQL."+socketPort)); err == nil {
		inst.reader, inst.hold, err = makeFifo(dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return inst, nil
}

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("devdb: the path of the socket, %s, is longer than the %d bytes that systems allow; set TMPDIR to a shorter path",
			path, maxSocketPath)
	}
	if strings.Contains(path, ",") {
		return fmt.Errorf("devdb: clients take the path of the socket, %s, for several because of the comma; set TMPDIR to a path without one", path)
	}
	return nil
}

func (i *instance) data() string { return filepath.Join(i.dir, "data") }

// handOver closes the read end: the supervisor has a copy.
func (i *instance) handOver() { _ = i.reader.Close() }

// discard removes an instance without a supervisor.
func (i *instance) discard() error {
	err := os.RemoveAll(i.dir)
	i.handOver()
	i.hold.release()
	return err
}

// serverArgs returns the command line of the server, without the path.
func (i *instance) serverArgs(settings ...string) []string {
	args := []string{
		"-D", i.data(),
		// A list of names, quoted since the path may have blanks or quotes.
		"-c", `unix_socket_directories="` + strings.ReplaceAll(i.dir, `"`, `""`) + `"`,
	}
	for _, s := range slices.Concat(serverSettings, settings) {
		args = append(args, "-c", s)
	}
	return args
}

// serverSettings close every way in but the socket of the user's own, and make the server
// fast.
var serverSettings = append([]string{
	"listen_addresses=", "port=" + socketPort, "unix_socket_permissions=0700",
}, throwaway.Settings...)
