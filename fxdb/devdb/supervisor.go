//go:build linux || darwin

package devdb

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The supervisor is a shell, not the program run again: a second run of the program would need
// a hook in every program that uses the package. The shell runs a file, so ps shows a readable
// line.
//
//go:embed supervisor.sh
var supervisorScript []byte

const (
	naps       = 10               // of supervisor.sh: the count of naps in a linger
	readyLimit = 30 * time.Second // for a server to accept connections
	readyEvery = 2 * time.Millisecond
	stopGrace  = time.Second // granted to Stop even if the ctx of Stop has ended
)

// A supervisor is the starter's view of the shell that watches over a server.
type supervisor struct {
	dir  string
	cmd  *exec.Cmd
	pipe *os.File      // ends when the shell and all server processes have ended
	gone chan struct{} // closed when pipe has ended
	log  *os.File      // kept open to be read when the folder is gone
}

// supervise starts the shell, and through the shell the server in folder dir. users is the read
// end of the pipe that counts the users.
func supervise(dir string, users *os.File, acct account, linger time.Duration, server []string) (*supervisor, error) {
	script := filepath.Join(dir, "supervisor.sh")
	if err := errors.Join(os.WriteFile(script, supervisorScript, 0o600), acct.own(script)); err != nil {
		return nil, fmt.Errorf("devdb: supervisor: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("devdb: server log: %w", err)
	}
	ended, held, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("devdb: supervisor: %w", errors.Join(err, log.Close()))
	}
	nap := strconv.FormatFloat(linger.Seconds()/naps, 'f', -1, 64)
	cmd := exec.Command("/bin/sh", append([]string{script, nap}, server...)...)
	acct.detach(cmd)
	// None of the caller's descriptors: go test waits for every process with a copy.
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = users, log, log, []*os.File{held}
	err = cmd.Start()
	_ = held.Close() // the shell's now
	if err != nil {
		return nil, fmt.Errorf("devdb: supervisor: %w", errors.Join(err, ended.Close(), log.Close()))
	}
	s := &supervisor{dir: dir, cmd: cmd, pipe: ended, gone: make(chan struct{}), log: log}
	if linger > 0 {
		_ = cmd.Wait() // the shell has put the supervisor into the background; the pipe shows the supervisor's end
	}
	go s.watch(linger == 0)
	return s, nil
}

// watch ends when the processes have ended, or by forget.
func (s *supervisor) watch(wait bool) {
	defer close(s.gone)
	_, err := io.Copy(io.Discard, s.pipe)
	if wait && err == nil {
		_ = s.cmd.Wait() // only to reap: the exit code says nothing about the server
	}
}

// ready waits until the server accepts connections.
func (s *supervisor) ready(ctx context.Context) error {
	cfg, err := pgconn.ParseConfig(socketURL(s.dir, "postgres", "postgres"))
	if err != nil {
		return fmt.Errorf("devdb: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("no connection within %v", readyLimit))
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		conn, err := pgconn.ConnectConfig(ctx, cfg)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.gone:
			return fmt.Errorf("devdb: the server ended while starting; its log says:\n%s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("devdb: the server is not ready: %w; last attempt: %w; its log says:\n%s",
				context.Cause(ctx), err, s.logTail())
		case <-tick.C:
		}
	}
}

// logTail reads through the open file: the folder may be gone.
func (s *supervisor) logTail() string {
	fi, err := s.log.Stat()
	if err != nil {
		return err.Error()
	}
	tail := make([]byte, min(fi.Size(), 4096))
	n, err := s.log.ReadAt(tail, fi.Size()-int64(len(tail)))
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return strings.TrimSpace(string(tail[:n]))
}

// end waits until the server without users and the server's folder are gone, and kills the
// server if ctx ends before.
func (s *supervisor) end(ctx context.Context) error {
	defer s.forget()
	select {
	case <-s.gone:
		return s.removed()
	case <-ctx.Done():
	}
	select {
	case <-s.gone:
		return s.removed()
	case <-time.After(stopGrace):
	}
	err := errors.Join(context.Cause(ctx), s.kill(), os.RemoveAll(s.dir))
	return fmt.Errorf("devdb: the server in %s did not stop in time and was killed: %w", s.dir, err)
}

// removed removes the folder again. The supervisor may have failed without a word: the
// supervisor's account may lack a right of the process.
func (s *supervisor) removed() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("devdb: the server has stopped but its folder stays; remove it by hand: %w", err)
	}
	return nil
}

// forget stops the watch of the processes. The shell goes on watching.
func (s *supervisor) forget() {
	_ = s.pipe.Close() // only read from
	<-s.gone
	_ = s.log.Close() // only read from
}
