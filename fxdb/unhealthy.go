package fxdb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
)

// ShutdownOnUnhealthy shuts the fx application down, with exit code 1, if the pool is not
// ready for so long without a break: the server can't be reached, or takes no writes. The
// log has the cause. A busy pool is ready, and so is a pool in the delay of a stop. Inside
// ModuleNamed the option watches the named pool.
//
// An idle pool notices that the server is gone by the next statement, or the next probe of
// /readyz. Without ShutdownOnUnhealthy the pool tries on for ever, and /readyz says why. Use
// ShutdownOnUnhealthy if a supervisor gives the next process another address, or must know.
// after must be more than 0.
func ShutdownOnUnhealthy(after time.Duration) fx.Option {
	if after <= 0 {
		return fx.Error(fmt.Errorf("fxdb.ShutdownOnUnhealthy: %s is no time to wait: must be more than 0", after))
	}
	return fx.Invoke(func(lc fx.Lifecycle, db *DB, shutdowner fx.Shutdowner) {
		m := db.Monitor()
		w := &unhealthyWatch{after: after, log: db.core.log, leaving: m.Leaving, health: m.Health,
			shutdown: func() error { return shutdowner.Shutdown(fx.ExitCode(1)) }}
		m.OnChange(w.changed)
		lc.Append(fx.StartStopHook(func() {
			if !m.Started() { // DB_START=degrade connects in the background, and nothing has changed
				w.changed(lifecycle.Health{})
			}
		}, w.stop))
	})
}

// unhealthyWatch shuts the application down at the end of a time without readiness.
type unhealthyWatch struct {
	after    time.Duration
	log      *zap.Logger
	leaving  func() bool
	health   func(context.Context) lifecycle.Health
	shutdown func() error

	mu      sync.Mutex
	timer   *time.Timer // nil: the pool is ready
	stopped bool
}

// changed begins the time, or ends it.
func (w *unhealthyWatch) changed(h lifecycle.Health) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case h.Ready:
		w.disarm()
	case w.timer == nil && !w.stopped && !w.leaving():
		w.timer = time.AfterFunc(w.after, w.over)
	}
}

// disarm ends the time. w.mu is held.
func (w *unhealthyWatch) disarm() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// over looks once more: no event reports the first readiness after a start in the background.
func (w *unhealthyWatch) over() {
	h := w.health(context.Background()) // bounded by the time of a probe
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil || w.stopped || w.leaving() {
		return
	}
	w.timer = nil
	if h.Ready {
		return
	}
	w.stopped = true
	w.log.Error("pool was not ready for too long: the application shuts down (fxdb.ShutdownOnUnhealthy)",
		zap.Duration("after", w.after), zap.String("cause", h.Error))
	if err := w.shutdown(); err != nil {
		w.log.Error("the application can't be shut down", zap.Error(err))
	}
}

func (w *unhealthyWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.disarm()
}
