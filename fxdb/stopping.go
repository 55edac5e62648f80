package fxdb

import (
	"context"
	"reflect"
	"sync"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"
)

// stopping gives the pool a part of fx's stop. fx runs OnStop hooks one after the other, the
// pool's hook after the hooks of the pool's users. fx skips the remaining hooks when the time
// is over. A server that waits for a hanging request would take all of the time.
//
// Every hook therefore calls begin at the start of its stop, and the first call begins the
// stop. When only the drain's share of the time is left, the pool drains, even if earlier
// hooks still run.
type stopping struct {
	mu       sync.Mutex
	begun    time.Time // zero: the stop has not begun
	deadline time.Time // of the stop; zero: none
	delayed  time.Duration
	failed   bool // an OnStart hook failed: nobody was served
	pools    []*stoppingPool
}

// stoppingPool drains a pool, by the pool's hook or by the clock.
type stoppingPool struct {
	db   *DB
	stop *stopping
	once sync.Once
	err  error
}

// add returns the OnStop hook of a pool.
func (s *stopping) add(db *DB) *stoppingPool {
	p := &stoppingPool{db: db, stop: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = append(s.pools, p)
	return p
}

// drain runs in the pool's OnStop. If the clock has begun the drain, drain waits for the
// drain's end and returns the error.
func (p *stoppingPool) drain(ctx context.Context) error {
	p.once.Do(func() {
		began := time.Now()
		p.err = p.db.Close(ctx)
		p.stop.logTimeline(p.db, began)
	})
	return p.err
}

// logTimeline logs the durations of a stop's steps, from the first hook to the end of a
// pool's drain.
func (s *stopping) logTimeline(db *DB, drained time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		return
	}
	now := time.Now()
	fields := []zap.Field{
		zap.Duration("delay", s.delayed), zap.Duration("hooks_before", drained.Sub(s.begun)-s.delayed),
		zap.Duration("drain", now.Sub(drained)), zap.Duration("elapsed", now.Sub(s.begun)),
	}
	if !s.deadline.IsZero() {
		fields = append(fields, zap.Duration("budget", s.deadline.Sub(s.begun)), zap.Duration("left_for_hooks_behind", s.deadline.Sub(now)))
	}
	db.core.log.Info("stop timeline", fields...)
}

// drainShare is the drain's part of the duration stop: at most a quarter, and at most
// twice the drain's timeout. Half of the share is for callers that get errors from a
// drain, and for the hooks after the drain.
func drainShare(stop, drain time.Duration) time.Duration { return min(stop/4, 2*drain) }

// begin runs in every hook that stops. The first hook begins the stop, and waits for
// DB_STOP_DELAY_MS before anything stops.
func (s *stopping) begin(ctx context.Context) {
	dbs := s.first(ctx)
	if dbs == nil {
		return
	}
	began := time.Now()
	delayStop(ctx, dbs...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delayed = time.Since(began)
}

// first returns the pools to the first hook of a stop, if the application may have served
// anybody.
func (s *stopping) first(ctx context.Context) (dbs []*DB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun.IsZero() {
		return nil
	}
	s.begun = time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		s.deadline = deadline
		s.drainInTime(ctx, deadline)
	}
	if s.failed {
		return nil
	}
	for _, p := range s.pools {
		dbs = append(dbs, p.db)
	}
	return dbs
}

// delayStop turns readiness off. The application then serves on for the longest
// DB_STOP_DELAY_MS of the pools, at most half of the time until the deadline of ctx.
func delayStop(ctx context.Context, dbs ...*DB) {
	var delay time.Duration
	for _, db := range dbs {
		if db.core.monitor.Started() {
			delay = max(delay, db.core.cfg.StopDelay)
		}
	}
	if delay <= 0 {
		return
	}
	if deadline, ok := ctx.Deadline(); ok && delay > time.Until(deadline)/2 {
		delay = time.Until(deadline) / 2
		dbs[0].core.log.Warn("DB_STOP_DELAY_MS is more than half of the stop's time, so the delay is shorter: raise fx.StopTimeout", zap.Duration("delay", delay))
	}
	for _, db := range dbs {
		for _, m := range db.core.monitors() {
			m.Leave()
		}
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// drainInTime schedules the pools' drains for the moment when only the drain's share of
// the stop is left. The caller holds s.mu.
func (s *stopping) drainInTime(ctx context.Context, deadline time.Time) {
	for _, p := range s.pools {
		left := time.Until(deadline)
		share := drainShare(left, p.db.core.cfg.DrainTimeout)
		time.AfterFunc(left-share, func() {
			if !p.db.Monitor().Started() {
				return // drained, or fx rolls back a start before the pool's start
			}
			// Drain takes three quarters of the context's time.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), share/3*2)
			defer cancel()
			_ = p.drain(ctx) // drain keeps the error for the pool's hook
		})
	}
}

// fail notes that the application did not start.
func (s *stopping) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
}

// giveUp closes the pools of a start that ran out of time, because fx then skips every
// OnStop.
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

// watchedLifecycle takes the hooks of an application with [Module].
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

// Append appends a hook that calls begin when the hook stops, and keeps the hook's name.
func (l *watchedLifecycle) Append(h fx.Hook) {
	start, stop := h.OnStart, h.OnStop
	if !named(h) { // without a name, fx would name the hook after a closure below
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
			if err != nil {
				l.stop.fail()
			}
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

// named reports whether a hook has a name besides its functions' names.
func named(h fx.Hook) bool {
	v := reflect.ValueOf(h)
	for _, field := range []string{"onStartName", "onStopName"} {
		if f := v.FieldByName(field); f.IsValid() && f.Kind() == reflect.String && f.Len() > 0 {
			return true
		}
	}
	return false
}
