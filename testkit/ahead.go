package testkit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// mostReady bounds how many databases of a template wait for tests.
	mostReady = 8
	// mostGarbage bounds how many databases of ended tests a throwaway server keeps while
	// tests want the processors. A database takes about 8 MB.
	mostGarbage = 16
)

// ahead makes databases before tests ask for databases, and drops the databases of ended
// tests. The goroutines end when no job is left, and when no test has a database: goleak
// finds no goroutine after the last test.
type ahead struct {
	server  *server
	workers int // at most

	mu      sync.Mutex
	idle    sync.Cond // no goroutine works
	working int
	count   int // of the databases made
	users   int // tests that have a database or wait
	shelves map[string]*shelf
	garbage []string
	unused  *time.Timer // closes ready pools
	swept   bool
	closed  bool
}

// shelf holds databases of a template.
type shelf struct {
	template string
	ready    []string
	target   int // of ready; grows if a test finds the shelf empty
	making   int
	waiting  []chan made
	openings []*opening
}

type made struct {
	name string
	err  error
}

func newAhead(s *server) *ahead {
	a := &ahead{server: s, workers: min(runtime.GOMAXPROCS(0), 4), shelves: make(map[string]*shelf)}
	a.idle.L = &a.mu
	return a
}

// take returns a database of the template. The caller gives the database back by done.
func (a *ahead) take(ctx context.Context, template string) (string, error) {
	a.mu.Lock()
	a.users++
	s := a.shelfOf(template)
	if n := len(s.ready); n > 0 {
		name := s.ready[n-1]
		s.ready = s.ready[:n-1]
		a.startWorkers()
		a.mu.Unlock()
		return name, nil
	}
	// The first test of a template must wait. Later misses raise the target: 0, 1, 2, 4, 8.
	s.target = min(max(s.target+1, s.target*2), mostReady)
	result := make(chan made, 1)
	s.waiting = append(s.waiting, result)
	a.startWorkers()
	a.mu.Unlock()
	select {
	case m := <-result:
		if m.err != nil {
			a.done("")
		}
		return m.name, m.err
	case <-ctx.Done():
		a.leave(s, result)
		return "", context.Cause(ctx)
	}
}

// shelfOf returns the shelf of a template. The caller holds mu.
func (a *ahead) shelfOf(template string) *shelf {
	s := a.shelves[template]
	if s == nil {
		s = &shelf{template: template, target: -1}
		a.shelves[template] = s
	}
	return s
}

// leave gives up waiting.
func (a *ahead) leave(s *shelf, result chan made) {
	a.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(c chan made) bool { return c == result })
	a.mu.Unlock()
	select {
	case m := <-result:
		a.done(m.name)
	default:
		a.done("")
	}
}

// done ends the use of a database of take, and has a goroutine drop the database. The empty
// name ends the use alone.
func (a *ahead) done(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users--
	if name != "" {
		a.garbage = append(a.garbage, name)
	}
	a.closeUnused()
	a.startWorkers()
}

// newName returns a new database's name, with the run's name inside.
func (a *ahead) newName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	return fmt.Sprintf("%s%s_%d", databasePrefix, a.server.run, a.count)
}

// startWorkers starts a goroutine for each job, at most workers. The caller holds mu.
func (a *ahead) startWorkers() {
	for ; a.working < a.workers; a.working++ {
		job := a.next()
		if job == nil {
			return
		}
		go a.work(job)
	}
}

func (a *ahead) work(job func()) {
	for job != nil {
		job()
		a.mu.Lock()
		if job = a.next(); job == nil {
			a.working--
			a.idle.Broadcast()
		}
		a.mu.Unlock()
	}
}

// next returns the next job of a goroutine, or nil. The caller holds mu.
func (a *ahead) next() func() {
	if a.closed || a.users == 0 {
		return nil
	}
	for _, s := range a.shelves {
		if len(s.waiting) > s.making {
			return a.making(s)
		}
	}
	if len(a.garbage) > a.mostGarbage() {
		return a.dropping()
	}
	if job := a.nextOpening(); job != nil {
		return job
	}
	for _, s := range a.shelves {
		if len(s.waiting)+s.target > len(s.ready)+s.making {
			return a.making(s)
		}
	}
	if !a.swept {
		a.swept = true
		return a.sweep
	}
	if len(a.garbage) > 0 {
		return a.dropping()
	}
	return nil
}

// mostGarbage is 0 on a server that outlives the tests.
func (a *ahead) mostGarbage() int {
	if a.server.throwaway {
		return mostGarbage
	}
	return 0
}

func (a *ahead) making(s *shelf) func() {
	s.making++
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		name := a.newName()
		err := a.server.clone(ctx, name, s.template)
		a.mu.Lock()
		defer a.mu.Unlock()
		s.making--
		switch {
		case len(s.waiting) > 0:
			s.waiting[0] <- made{name, err}
			s.waiting = s.waiting[1:]
		case err == nil:
			s.ready = append(s.ready, name)
		default:
			s.target = 0 // the next test gets the error
		}
	}
}

func (a *ahead) dropping() func() {
	name := a.garbage[0]
	a.garbage = a.garbage[1:]
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		// If the drop fails, the sweep of a later run drops the database.
		_ = a.server.drop(ctx, name)
	}
}

// sweep adds the databases without a living process to the garbage.
func (a *ahead) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	left := a.server.leftBehind(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.garbage = append(a.garbage, left...)
}

// close closes the pools that no test has taken. On a server that outlives the tests, close
// then drops the databases of ended tests, and the databases that no test has taken. No test
// may run.
func (a *ahead) close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	for a.working > 0 {
		a.idle.Wait()
	}
	pools := a.unopen()
	a.mu.Unlock()
	closeAll(pools)
	if a.server.throwaway {
		return nil
	}
	a.mu.Lock()
	names := a.garbage
	a.garbage = nil
	for _, s := range a.shelves {
		names = append(names, s.ready...)
		s.ready = nil
	}
	a.mu.Unlock()
	errs := make(chan error, len(names))
	turns := make(chan struct{}, a.workers)
	for _, name := range names {
		go func() {
			turns <- struct{}{}
			errs <- a.server.drop(ctx, name)
			<-turns
		}()
	}
	var first error
	for range names {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// gonePatience bounds the wait for the sessions of a database. The server itself waits
// longer, in steps of 100 ms.
const gonePatience = 500 * time.Millisecond

// awaitNoSession waits until the sessions of a database have ended. DROP DATABASE and CREATE
// DATABASE look once and then sleep for 100 ms, even if a session ends a millisecond later.
func awaitNoSession(ctx context.Context, conn *pgx.Conn, database string) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(gonePatience); time.Now().Before(until); <-tick.C {
		var there bool
		err := conn.QueryRow(ctx, "select exists (select from pg_stat_activity where datname = $1)", database).Scan(&there)
		if err != nil || !there {
			return
		}
	}
}
