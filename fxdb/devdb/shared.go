//go:build linux || darwin

package devdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// attachLimit bounds the check that a shared server answers. One that takes
// longer is no use, even if it is only slow.
const attachLimit = 3 * time.Second

// join attaches to the shared server of the launcher's key, or starts it. All
// processes that want the same one do so one after another, so that the first
// starts it and the others find it.
func (l launcher) join(ctx context.Context, linger time.Duration) (*Server, error) {
	unlock, err := lock(ctx, filepath.Join(l.base, "start.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s := l.attach(ctx); s != nil {
		return s, nil
	}
	s, err := l.launch(ctx, linger)
	if err != nil {
		return nil, err
	}
	if err := l.point(s.dir); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// attach returns nil if there is no shared server that answers. The reason
// does not matter: whatever it is, a new server is the way out.
func (l launcher) attach(ctx context.Context) *Server {
	name, err := os.ReadFile(l.pointer())
	if err != nil || filepath.Base(string(name)) != string(name) {
		return nil
	}
	dir := filepath.Join(l.base, string(name))
	h, err := openHold(filepath.Join(dir, usersName))
	if err != nil {
		return nil
	}
	if h.announce() != nil || !answers(ctx, dir) {
		h.release()
		return nil
	}
	s := l.server(dir)
	s.shared = true
	s.stop = func(context.Context) error { h.release(); return nil }
	return s
}

// answers tells whether the server in dir is alive; one that has no connection
// left is.
func answers(ctx context.Context, dir string) bool {
	const tooManyConnections = "53300"
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	conn, err := pgconn.Connect(ctx, socketURL(dir, "postgres", "postgres"))
	if err != nil {
		refusal, ok := errors.AsType[*pgconn.PgError](err)
		return ok && refusal.Code == tooManyConnections
	}
	_ = conn.Close(ctx) // it has answered
	return true
}

// pointer is the file that names the folder of the shared server.
func (l launcher) pointer() string { return filepath.Join(l.base, "current-"+l.key) }

// point makes the server in dir the shared one. The lock makes this process
// the only writer; the rename keeps a killed one from leaving half a name.
func (l launcher) point(dir string) error {
	tmp := l.pointer() + ".tmp"
	err := os.WriteFile(tmp, []byte(filepath.Base(dir)), 0o600)
	if err == nil {
		err = os.Rename(tmp, l.pointer())
	}
	if err != nil {
		return fmt.Errorf("devdb: shared server: %w", err)
	}
	return nil
}
