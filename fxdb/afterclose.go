package fxdb

import (
	"slices"
	"sync"
)

// AfterClose calls fn once, when [DB.Close] has drained every pool of db: metrics report
// the drain until its end. AfterClose calls fn at once if the drain is over. The last fn
// runs first. forget removes fn.
func (db *DB) AfterClose(fn func()) (forget func()) { return db.core.closed.add(fn) }

// afterClose holds the functions of AfterClose.
type afterClose struct {
	running sync.Mutex // held while fns run: a second Close waits

	mu   sync.Mutex
	over bool
	fns  []*func()
}

func (a *afterClose) add(fn func()) (forget func()) {
	own := &fn
	a.mu.Lock()
	over := a.over
	if !over {
		a.fns = append(a.fns, own)
	}
	a.mu.Unlock()
	if over {
		fn()
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.fns = slices.DeleteFunc(a.fns, func(x *func()) bool { return x == own })
	}
}

func (a *afterClose) run() {
	a.running.Lock()
	defer a.running.Unlock()
	a.mu.Lock()
	fns := a.fns
	a.over, a.fns = true, nil
	a.mu.Unlock()
	for _, fn := range slices.Backward(fns) {
		(*fn)()
	}
}
