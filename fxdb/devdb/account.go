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

// An account is the system user that the server's processes run as.
type account struct {
	uid, gid   int
	credential *syscall.Credential // nil: this process's own
}

// serverAccount returns the own account or, for root, as which PostgreSQL
// refuses to run, that of postgres or nobody. It has to have a name, as initdb
// looks its user id up.
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

// command prepares a program that runs to its end under the account. If ctx
// ends it is asked to end, not killed: initdb then ends with its current step,
// within half a second, and the server that it runs for that leaves no shared
// memory behind.
func (a account) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	a.detach(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killLimit
	return cmd
}

// detach puts the program under the account and into a session of its own,
// where Ctrl-C on the terminal does not reach it. The working directory is one
// that the account can enter.
func (a account) detach(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = serverEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
}

// serverEnv keeps what differs between callers away from a server that is
// cached and shared: client settings (PG*), locale and time zone. The latter
// also saves initdb the search for the system's.
func serverEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C", "TZ=UTC")
}
