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

// attachLimit bounds the check that a shared server answers. A slower server is no use.
const attachLimit = 3 * time.Second

// join attaches to the shared server of the launcher's key, or starts the shared server.
// Processes with the same key take turns: the first process starts the server, and the next
// processes find the server.
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

// attach returns nil if no shared server answers. The reason does not matter: a new server
// helps in every case.
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

// answers reports whether the server in dir is alive. A server without a free connection is
// alive.
func answers(ctx context.Context, dir string) bool {
	const tooManyConnections = "53300"
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	conn, err := pgconn.Connect(ctx, socketURL(dir, "postgres", "postgres"))
	if err != nil {
		refusal, ok := errors.AsType[*pgconn.PgError](err)
		return ok && refusal.Code == tooManyConnections
	}
	_ = conn.Close(ctx) // the server has answered
	return true
}

// pointer returns the path of the file with the folder's name of the shared server.
func (l launcher) pointer() string { return filepath.Join(l.base, "current-"+l.key) }

// point makes the server in dir the shared server. The lock makes the process the only writer;
// the rename keeps a killed process from leaving half a name.
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
