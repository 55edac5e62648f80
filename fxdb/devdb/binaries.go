//go:build linux || darwin

package devdb

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// oldestMajor is the first version whose initdb knows --wal-segsize.
const oldestMajor = 11

// binaries is an installation of the server.
type binaries struct {
	dir     string // the folder of initdb and postgres
	why     string // the reason for the choice
	banner  string // the output of "postgres --version"
	version string // the number in banner
	major   int
}

var versionInBanner = regexp.MustCompile(`\b(\d+)(\.\d+|beta\d+|rc\d+|devel)*`)

// findBinaries finds an installation and asks for the version, under the server's account: the
// account may be unable to reach the folder.
func findBinaries(ctx context.Context, sources []source, acct account) (binaries, error) {
	dir, why, err := find(ctx, sources)
	if err != nil {
		return binaries{}, err
	}
	out, err := acct.command(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if ctx.Err() != nil {
		return binaries{}, fmt.Errorf("devdb: %w", context.Cause(ctx))
	}
	if err != nil {
		return binaries{}, fmt.Errorf("devdb: postgres --version in %s (%s): %w; the user that runs the server (id %d) must be able to execute it",
			dir, why, err, acct.uid)
	}
	m := versionInBanner.FindStringSubmatch(string(out))
	if m == nil {
		return binaries{}, fmt.Errorf("devdb: %s/postgres (%s) is not PostgreSQL: it calls itself %q; set %s", dir, why, out, envBindir)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return binaries{}, fmt.Errorf("devdb: version of %s/postgres: %w", dir, err)
	}
	if major < oldestMajor {
		return binaries{}, fmt.Errorf("devdb: PostgreSQL %s in %s (%s) is too old; install %d or newer, or set %s",
			m[0], dir, why, oldestMajor, envBindir)
	}
	return binaries{dir: dir, why: why, banner: string(out), version: m[0], major: major}, nil
}

// initdbArgs are the same on every machine, except for the version. Small WAL
// segments make the template half the size.
func (b binaries) initdbArgs() []string {
	args := []string{"-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"}
	if b.major >= 14 {
		args = append(args, "--no-instructions")
	}
	return args
}
