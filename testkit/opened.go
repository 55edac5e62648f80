package testkit

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// opensAhead reports whether [Main] runs the tests. A pool has goroutines for its whole life,
// and goleak.VerifyTestMain would report the goroutines of a pool that no test has taken.
var opensAhead atomic.Bool

const (
	// mostOpened bounds how many pools of the same configuration wait for tests.
	mostOpened = 2
	// openedPatience bounds how long pools wait while no test has a database: a test may look
	// for goroutines at its end.
	openedPatience = 50 * time.Millisecond
)

// opening holds the pools that ahead has opened for tests with the same configuration.
type opening struct {
	config fxdb.Config
	missed int // tests that found no pool
	under  int // goroutines that open a pool
	ready  []openPool
}

// openPool is a pool on a database of its own.
type openPool struct {
	database string
	db       *fxdb.DB
	log      *testLog
}

// openingOf returns the opening of a configuration. The caller holds mu.
func (s *shelf) openingOf(config fxdb.Config) *opening {
	for _, o := range s.openings {
		if reflect.DeepEqual(o.config, config) {
			return o
		}
	}
	o := &opening{config: config}
	s.openings = append(s.openings, o)
	return o
}

// takeOpen returns a pool if a pool of the template and the configuration is ready. The caller
// gives the database back by done, after the end of the pool.
func (a *ahead) takeOpen(template string, config fxdb.Config) (openPool, bool) {
	if !opensAhead.Load() {
		return openPool{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.shelfOf(template).openingOf(config)
	if len(o.ready) == 0 {
		o.missed++
		return openPool{}, false
	}
	p := o.ready[0]
	o.ready = o.ready[1:]
	a.users++
	a.startWorkers()
	return p, true
}

// nextOpening returns the job of opening a pool on a ready database, or nil. While several
// tests have a database, the tests need the processors. The caller holds mu.
func (a *ahead) nextOpening() func() {
	if !opensAhead.Load() || a.users != 1 {
		return nil
	}
	for _, s := range a.shelves {
		for _, o := range s.openings {
			if o.missed > 1 && len(o.ready)+o.under < mostOpened && len(s.ready) > 0 {
				return a.opening(s, o)
			}
		}
	}
	return nil
}

func (a *ahead) opening(s *shelf, o *opening) func() {
	name := s.ready[len(s.ready)-1]
	s.ready = s.ready[:len(s.ready)-1]
	o.under++
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		log := &testLog{}
		db, err := openPoolOn(ctx, a.server.on(name, o.config), log)
		a.mu.Lock()
		defer a.mu.Unlock()
		o.under--
		if err != nil {
			o.missed = 0 // the next test gets the error
			a.garbage = append(a.garbage, name)
			return
		}
		o.ready = append(o.ready, openPool{name, db, log})
		a.closeUnused()
	}
}

// closeUnused has the ready pools closed soon if no test has a database. The caller holds mu.
func (a *ahead) closeUnused() {
	if a.users > 0 || a.unused != nil {
		return
	}
	a.unused = time.AfterFunc(openedPatience, func() {
		a.mu.Lock()
		a.unused = nil
		var pools []openPool
		if a.users == 0 {
			pools = a.unopen()
		}
		a.mu.Unlock()
		closeAll(pools)
	})
}

// unopen takes all ready pools, and makes garbage of the pools' databases. The caller holds mu,
// and closes the pools.
func (a *ahead) unopen() (pools []openPool) {
	for _, s := range a.shelves {
		for _, o := range s.openings {
			pools = append(pools, o.ready...)
			o.ready = nil
		}
	}
	for _, p := range pools {
		a.garbage = append(a.garbage, p.database)
	}
	return pools
}

func closeAll(pools []openPool) {
	for _, p := range pools {
		_ = p.db.Close(context.Background()) // no test has used the pool
	}
}
