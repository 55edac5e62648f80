package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/fxdb/devdb"
)

// application is the agency server in a separate process.
type application struct {
	cmd    *exec.Cmd
	url    string
	log    string
	exited chan error
}

var listening = regexp.MustCompile(`(?m)^listening on (\S+)$`)

// startApplication builds the agency server and runs the binary on the database of s. The binary
// and the log are files in dir.
func startApplication(ctx context.Context, dir string, s *server, pool int) (*application, error) {
	binary := filepath.Join(dir, "agency")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/agentagency/onepool/app")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w; it says:\n%s", err, out)
	}
	a := &application{cmd: exec.Command(binary), log: filepath.Join(dir, "log"), exited: make(chan error, 1)}
	log, err := os.Create(a.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the process has a descriptor of its own
	a.cmd.Stdout, a.cmd.Stderr = log, log
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DB_") && !strings.HasPrefix(kv, "PG") {
			a.cmd.Env = append(a.cmd.Env, kv)
		}
	}
	a.cmd.Env = append(a.cmd.Env, "ADDR=127.0.0.1:0", "DB_POOL_MAX="+strconv.Itoa(pool), "DATABASE_URL="+s.url(devdb.RoleApp, database),
		"DB_MIGRATE=true", "DB_MIGRATE_URL="+s.url(devdb.RoleOwner, database))
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the application: %w", err)
	}
	go func() { a.exited <- a.cmd.Wait() }()
	const patience = time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it does not listen after %s", patience))
	defer cancel()
	for ctx.Err() == nil && len(a.exited) == 0 {
		said, _ := os.ReadFile(a.log) // an unreadable log counts as empty
		if m := listening.FindSubmatch(said); m != nil {
			a.url = string(m[1])
			return a, nil
		}
		measure.Wait(ctx, 10*time.Millisecond)
	}
	_, err = a.stop()
	return nil, fmt.Errorf("the application did not start: %w", errors.Join(context.Cause(ctx), err))
}

// memory returns the application's resident memory in MiB, shared memory included.
func (a *application) memory() float64 { return measure.ResidentMemory(a.cmd.Process.Pid) }

// stop ends the application with SIGTERM, and returns the duration of the stop. If the application
// exits with a failure, the error holds the end of the application's log.
func (a *application) stop() (time.Duration, error) {
	began := time.Now()
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // the exit status below decides
	const patience = time.Minute
	kill := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
	defer kill.Stop()
	err := <-a.exited
	if err != nil {
		said, _ := os.ReadFile(a.log) // an unreadable log counts as empty
		err = fmt.Errorf("the application: %w; its log ends with:\n%s", err, said[max(0, len(said)-2000):])
	}
	return time.Since(began), err
}
