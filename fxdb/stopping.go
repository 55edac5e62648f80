package fxdb

import (
	"context"
	"reflect"
	"sync"
	"time"

	"go.uber.org/fx"
)

// stopping gives the pool its part of fx's stop. fx runs OnStop hooks one after the
// other, the pool's behind those of whoever uses the pool, and skips the rest when the
// time is over: a server that waits for a request that hangs would take all of it.
// So every hook tells when it begins to stop, the first of them begins the stop, and
// when only the drain's share of the time is left the pool drains, though
// hooks before its own still run.
type stopping struct {
	mu    sync.Mutex
	begun bool
	pools []*stoppingPool
}

// stoppingPool is one pool's drain, by its own hook or by the clock.
type stoppingPool struct {
	db   *DB
	once sync.Once
	err  error
}

// add returns the OnStop hook of a pool.
func (s *stopping) add(db *DB) *stoppingPool {
	p := &stoppingPool{db: db}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = append(s.pools, p)
	return p
}

// drain is the pool's OnStop. What the clock has begun it waits for, and reports.
func (p *stoppingPool) drain(ctx context.Context) error {
	p.once.Do(func() { p.err = p.db.Close(ctx) })
	return p.err
}

// drainShare is the drain's part of a stop that takes so long at most: a quarter, and no
// more than the drain may need. Half of the share is for who gets errors from a drain, and
// for the hooks behind.
func drainShare(stop, drain time.Duration) time.Duration { return min(stop/4, 2*drain) }

// begin is called by every hook that stops; the first begins the stop.
func (s *stopping) begin(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline, ok := ctx.Deadline()
	if s.begun || !ok {
		return
	}
	s.begun = true
	for _, p := range s.pools {
		left := time.Until(deadline)
		share := drainShare(left, p.db.core.cfg.DrainTimeout)
		time.AfterFunc(left-share, func() {
			if !p.db.Monitor().Started() {
				return // it was drained, or fx rolls back a start that had not come to it
			}
			// Drain takes three quarters of what it is given.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), share/3*2)
			defer cancel()
			_ = p.drain(ctx) // which is logged, and is the hook's error if fx comes to that
		})
	}
}

// giveUp closes the pools of a start that ran out of time: fx skips every OnStop then.
func (s *stopping) giveUp() {
	s.mu.Lock()
	pools := s.pools
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, p := range pools {
		if p.db.Monitor().Started() {
			_ = p.drain(ctx)
		}
	}
}

// watchedLifecycle is what an application with Module appends its hooks to.
type watchedLifecycle struct {
	fx.Lifecycle
	stop *stopping
}

func watchLifecycle(lc fx.Lifecycle, stop *stopping) fx.Lifecycle {
	if w, ok := lc.(*watchedLifecycle); ok && w.stop == stop {
		return lc // by Module, outside of a ModuleNamed
	}
	return &watchedLifecycle{lc, stop}
}

// Append appends a hook that tells when it begins to stop, under its own name.
func (l *watchedLifecycle) Append(h fx.Hook) {
	start, stop := h.OnStart, h.OnStop
	if !named(h) { // by fx.StartHook and its like; a function's name is fx's own choice else
		switch {
		case start != nil && stop != nil:
			h = fx.StartStopHook(start, stop)
		case start != nil:
			h = fx.StartHook(start)
		case stop != nil:
			h = fx.StopHook(stop)
		}
	}
	if start != nil {
		h.OnStart = func(ctx context.Context) error {
			err := start(ctx)
			if ctx.Err() != nil {
				l.stop.giveUp()
			}
			return err
		}
	}
	if stop != nil {
		h.OnStop = func(ctx context.Context) error {
			l.stop.begin(ctx)
			return stop(ctx)
		}
	}
	l.Lifecycle.Append(h)
}

// named reports whether a hook has a name that is not its functions'.
func named(h fx.Hook) bool {
	v := reflect.ValueOf(h)
	for _, field := range []string{"onStartName", "onStopName"} {
		if f := v.FieldByName(field); f.IsValid() && f.Kind() == reflect.String && f.Len() > 0 {
			return true
		}
	}
	return false
}
