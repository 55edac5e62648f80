package lifecycle

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Observer receives the events of the pool, for metrics. The methods of an Observer run in
// the goroutine of the event: a method must be quick and must not use the pool. The pool
// recovers from a panic of an Observer, and logs the first.
//
// An Observer with a method Ended(client string, took time.Duration, err error) also receives
// the end of each statement, batch and COPY of a client, BEGIN and COMMIT included. took lasts
// from the sending until the rows are closed; err is nil or the error of the statement.
type Observer interface {
	// Acquired reports the end of an acquire. waited is 0 for an acquire without a wait; err
	// is nil or the caller's error.
	Acquired(client string, waited time.Duration, err error)
	// Released reports the release of a connection.
	Released(client string, held time.Duration)
	// Connected reports the end of an attempt to open a connection. client is the client
	// that asked for the connection, empty if the pool itself opened the connection.
	Connected(client string, took time.Duration, err error)
}

// statementObserver is an [Observer] that also receives the ends of statements.
type statementObserver interface {
	Ended(client string, took time.Duration, err error)
}

// observing is an observer, and whether the log has a panic of the observer.
type observing struct {
	Observer
	statements statementObserver // nil: the observer takes none
	panicked   atomic.Bool
}

// Observe notifies o from now on, until the caller calls stop. With an observer the monitor
// times holds exactly, for two reads of the clock per acquire; without an observer, to
// 50 ms. An Observer with Ended costs two further reads per statement.
func (m *Monitor) Observe(o Observer) (stop func()) {
	own := &observing{Observer: o} // callers may pass the same observer twice
	own.statements, _ = o.(statementObserver)
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

func (m *Monitor) observe(notify func(Observer)) {
	if p := m.observers.Load(); p != nil {
		for _, o := range *p {
			m.callObserver(o, func() { notify(o.Observer) })
		}
	}
}

// observeStatement notifies the observers of a statement's end.
func (m *Monitor) observeStatement(client string, took time.Duration, err error) {
	if p := m.observers.Load(); p != nil {
		for _, o := range *p {
			if o.statements != nil {
				m.callObserver(o, func() { o.statements.Ended(client, took, err) })
			}
		}
	}
}

// callObserver keeps the panic of an observer from the caller, whose connection would leak.
func (m *Monitor) callObserver(o *observing, notify func()) {
	defer func() {
		if r := recover(); r != nil && !o.panicked.Swap(true) {
			m.log.Error("observer panicked: the figures of the observer are incomplete from now on",
				zap.String("observer", fmt.Sprintf("%T", o.Observer)), zap.String("panic", fmt.Sprint(r)), zap.Stack("stack"))
		}
	}()
	notify()
}
