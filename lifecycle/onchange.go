package lifecycle

import (
	"errors"
	"sync"

	"go.uber.org/zap"
)

// watchers are the functions of OnChange. A goroutine notifies the watchers of changes, in
// the order of the changes, and lives as long as a change waits: neither an assessment of the pool
// nor a drain waits for a watcher.
type watchers struct {
	mu       sync.Mutex
	status   Status // of the last change
	notReady bool
	fns      []func(Health)
	pending  []change
	notified chan struct{} // closed when pending is empty; nil: pending is empty
}

// change is a changed health, and the watchers at the time of the change.
type change struct {
	health Health
	fns    []func(Health)
}

// maxPending is how many changes wait for a watcher that blocks. The oldest go.
const maxPending = 100

// OnChange calls fn whenever the pool has a new status or readiness. [Monitor.Health] checks for
// a change. The monitor itself checks every second, and when the answers to a busy pool stop.
// OnChange also calls fn when a drain begins, at any status, with a Health whose Error is the
// text of ErrDraining. After the drain's change OnChange calls fn no more.
//
// A separate goroutine calls fn, change after change, in the order of the changes. fn may use
// the monitor. fn should not block: later changes wait for fn, but a drain does not wait.
func (m *Monitor) OnChange(fn func(Health)) {
	w := &m.health.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fns = append(w.fns, fn)
}

// notify notifies the watchers of h if h is a change. From a drain on notify does nothing:
// notifyDrain has reported the last change.
func (m *Monitor) notify(h Health) {
	w := &m.health.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.status
	if m.Draining() || from == h.Status && w.notReady == !h.Ready {
		return
	}
	m.logChange(from, w.notReady, h)
	w.enqueue(h)
}

// logChange writes one line: an error if the server can't be used, a warning if the pool
// became busier, else information. A change before the start is for debugging.
func (m *Monitor) logChange(from Status, notReady bool, h Health) {
	fields := []zap.Field{zap.Stringer("from", from), zap.Stringer("to", h.Status), zap.Int("active", h.Active), zap.Int("max", h.Max), zap.Int("waiting", h.Waiting)}
	switch {
	case h.Error == errLeaving.Error(): // Leave has logged the change
	case !h.Ready && m.Started() && !errors.Is(h.cause, ErrNotStarted): // a sibling may start later
		m.log.Error("pool can't use its server", append(fields, zap.String("error", h.Error))...)
	case !h.Ready:
		m.log.Debug("pool is not started", append(fields, zap.String("error", h.Error))...)
	case notReady:
		m.log.Info("pool can use its server", fields...)
	case h.Status > from:
		m.log.Warn("pool status is worse", fields...)
	default:
		m.log.Info("pool status is better", fields...)
	}
}

// notifyDrain notifies the watchers that a drain has begun. notified closes when all watchers have
// returned.
func (m *Monitor) notifyDrain() (notified <-chan struct{}) {
	h := m.figures()
	h.Status, h.Ready, h.Error = Unhealthy, false, ErrDraining.Error()
	w := &m.health.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enqueue(h)
}

func (w *watchers) enqueue(h Health) (notified <-chan struct{}) {
	w.status, w.notReady = h.Status, !h.Ready
	if len(w.pending) >= maxPending {
		w.pending = w.pending[1:]
	}
	w.pending = append(w.pending, change{h, w.fns})
	if w.notified == nil {
		w.notified = make(chan struct{})
		go w.notifyAll()
	}
	return w.notified
}

func (w *watchers) notifyAll() {
	for {
		w.mu.Lock()
		if len(w.pending) == 0 {
			close(w.notified)
			w.notified = nil
			w.mu.Unlock()
			return
		}
		next := w.pending[0]
		w.pending = w.pending[1:]
		w.mu.Unlock()
		for _, fn := range next.fns {
			fn(next.health)
		}
	}
}
