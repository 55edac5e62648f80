//go:build linux || darwin

package devdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// An account is the system user of the server's processes.
type account struct {
	uid, gid   int
	credential *syscall.Credential // nil: the account of the process
}

// serverAccount returns the caller's own account. PostgreSQL refuses to run as root: for root
// serverAccount returns the account postgres or nobody. The account must have a name: initdb
// looks up the user id.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return account{}, fmt.Errorf("devdb: ids of user %s: %w", name, err)
		}
		return account{int(uid), int(gid), &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, errors.New("devdb: PostgreSQL refuses to run as root and there is neither a user postgres nor nobody; add one or run as another user")
}

// own gives a file that root has made to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// command prepares a program that runs to the end under the account. If ctx ends, the program
// gets SIGTERM instead of SIGKILL: initdb then ends within half a second, after the present
// step, and initdb's server leaves no shared memory behind.
func (a account) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	a.detach(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killLimit
	return cmd
}

// detach puts the program under the account and into a new session, out of reach of Ctrl-C on
// the terminal. The account can enter the working directory.
func (a account) detach(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = serverEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
}

// serverEnv keeps the callers' differences away from a cached and shared server: client
// settings (PG*), locale and time zone. A set time zone also saves initdb the search for the
// system's time zone.
func serverEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C", "TZ=UTC")
}
