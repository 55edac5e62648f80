package lifecycle

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Observer is told what happens in the pool, for metrics. Its methods run in the
// goroutine where it happens: they must be quick and must not use the pool. The pool
// recovers from a panic of an Observer, and logs the first.
type Observer interface {
	// Acquired tells that an acquire ended. waited is 0 where nobody had to
	// wait; err is nil or what the caller got.
	Acquired(client string, waited time.Duration, err error)
	// Released tells that a connection was given back.
	Released(client string, held time.Duration)
	// Connected tells that an attempt to open a connection ended. client is who
	// asked for it, empty where the pool itself did.
	Connected(client string, took time.Duration, err error)
}

// StatementObserver is an [Observer] that is told of statements too.
type StatementObserver interface {
	Observer
	// Ended tells that a statement, a batch or a COPY of the client ended, BEGIN and
	// COMMIT included. took lasts from the sending until the rows are closed; err is nil or
	// the error of the statement.
	Ended(client string, took time.Duration, err error)
}

// observing is one observer and the log of its panics.
type observing struct {
	Observer
	statements StatementObserver // nil: the observer takes none
	panicked   atomic.Bool
}

// Observe tells o from now on, until stop is called. Holds are timed exactly
// while somebody observes, which costs two looks at the clock per acquire;
// without, to 50 ms. A [StatementObserver] costs two looks per statement more.
func (m *Monitor) Observe(o Observer) (stop func()) {
	own := &observing{Observer: o} // one observer may be given twice
	own.statements, _ = o.(StatementObserver)
	m.changeObservers(func(all []*observing) []*observing { return append(all, own) })
	return func() {
		m.changeObservers(func(all []*observing) []*observing {
			return slices.DeleteFunc(all, func(x *observing) bool { return x == own })
		})
	}
}

func (m *Monitor) changeObservers(change func([]*observing) []*observing) {
	m.observersMu.Lock()
	defer m.observersMu.Unlock()
	var now []*observing
	if p := m.observers.Load(); p != nil {
		now = slices.Clone(*p)
	}
	now = change(now)
	m.timesStatements.Store(slices.ContainsFunc(now, func(o *observing) bool { return o.statements != nil }))
	if len(now) == 0 {
		m.observers.Store(nil)
		return
	}
	m.observers.Store(&now)
}

func (m *Monitor) observe(tell func(Observer)) {
	if p := m.observers.Load(); p != nil {
		for _, o := range *p {
			m.guard(o, func() { tell(o.Observer) })
		}
	}
}

// observeStatement tells of a statement that has ended.
func (m *Monitor) observeStatement(client string, took time.Duration, err error) {
	if p := m.observers.Load(); p != nil {
		for _, o := range *p {
			if o.statements != nil {
				m.guard(o, func() { o.statements.Ended(client, took, err) })
			}
		}
	}
}

// guard keeps the panic of an observer from the caller, whose connection would leak.
func (m *Monitor) guard(o *observing, tell func()) {
	defer func() {
		if r := recover(); r != nil && !o.panicked.Swap(true) {
			m.log.Error("observer panicked: its figures are incomplete from now on",
				zap.String("observer", fmt.Sprintf("%T", o.Observer)), zap.Any("panic", r), zap.Stack("stack"))
		}
	}()
	tell()
}
