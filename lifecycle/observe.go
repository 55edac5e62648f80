package lifecycle

import (
	"slices"
	"time"
)

// Observer is told what happens in the pool, for metrics. Its methods run in the
// goroutine where it happens: they must be quick and must not use the pool.
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

// Observe tells o from now on, until stop is called. Holds are timed exactly
// while somebody observes, which costs two looks at the clock per acquire;
// without, to 50 ms.
func (m *Monitor) Observe(o Observer) (stop func()) {
	change := func(to func([]*Observer) []*Observer) {
		m.observersMu.Lock()
		defer m.observersMu.Unlock()
		var now []*Observer
		if p := m.observers.Load(); p != nil {
			now = slices.Clone(*p)
		}
		if now = to(now); len(now) == 0 {
			m.observers.Store(nil)
			return
		}
		m.observers.Store(&now)
	}
	own := &o // one observer may be given twice
	change(func(all []*Observer) []*Observer { return append(all, own) })
	return func() {
		change(func(all []*Observer) []*Observer {
			return slices.DeleteFunc(all, func(x *Observer) bool { return x == own })
		})
	}
}

func (m *Monitor) observe(tell func(Observer)) {
	if p := m.observers.Load(); p != nil {
		for _, o := range *p {
			tell(*o)
		}
	}
}
