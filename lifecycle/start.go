package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"
)

// StartMode says what Start does when the server can't be reached.
type StartMode string

// The start modes. Whatever is not a matter of reaching the server (a refused
// password, an old server, a migration that fails) fails the start in all. A start in
// the background, which can't fail any more, tries again slowly what an operator can
// mend; it ends for good with what is final (Config.BeforeReady), and the log says so.
const (
	StartRequire StartMode = "require" // fail at once
	StartWait    StartMode = "wait"    // try again until the start's time is over
	StartDegrade StartMode = "degrade" // start with a warning and connect in the background
)

// warming marks the acquires of Start itself, which may pass the gate.
type warming struct{}

// Start connects: it checks the server over a connection of its own, runs
// BeforeReady, opens the pool's minimum of connections concurrently (at least
// one), and opens the gate. Config.Start says what happens when the server can't
// be reached.
//
// Start's own wait for its connections is bounded by ctx, not by
// Config.AcquireTimeout. If ctx has no deadline, each connection may take
// DefaultAcquireTimeout, or Config.AcquireTimeout if that is longer.
//
// It keeps to four fifths of the time left until ctx's deadline, so that the
// start hooks that follow keep a share of theirs. When it fails nothing is left
// open. A pool whose start has failed, or that was drained, can't be started again: the
// error says which. Starting a started pool is a no-op
// with a warning in the log.
func (m *Monitor) Start(ctx context.Context) error {
	m.startMu.Lock()
	defer m.startMu.Unlock()
	switch m.state.Load() {
	case stateStarting, stateReady:
		m.log.Warn("pool is already started")
		return nil
	case stateDraining, stateStopped:
		return m.over()
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*4/5)
		defer cancel()
	}
	m.state.Store(stateStarting)
	var err error
	mayWait := func(err error) bool { return isUnavailable(err) && !isFinal(err) }
	if m.cfg.Start == StartWait {
		err = m.startRetrying(ctx, mayWait)
	} else {
		err = m.start(ctx)
	}
	switch {
	case err == nil:
		return nil
	case m.cfg.Start == StartDegrade && mayWait(err):
		m.log.Warn("pool starts without its server and goes on trying", zap.String("database", m.Database()), zap.Error(err))
		m.startErr.Store(&err)
		m.background.Go(m.startInBackground)
		return nil
	}
	m.failed.Store(&err)
	m.abandon()
	return err
}

// startInBackground can tell nobody of a failure but the log, health and whoever wants
// a connection.
func (m *Monitor) startInBackground() {
	err := m.startRetrying(m.closing, func(err error) bool { return !isFinal(err) })
	if err != nil && m.closing.Err() == nil {
		m.log.Error("pool will not start: another attempt would fail as this one did; mend the cause and start the application again",
			zap.String("database", m.Database()), zap.Error(err))
	}
}

// startRetrying tries again, backing off, while again says so and ctx lasts.
func (m *Monitor) startRetrying(ctx context.Context, again func(error) bool) error {
	attempts := 0
	var last error
	backoff := newStartBackoff(m.startWaits)
	waits := retry.BackoffFunc(func() (time.Duration, bool) {
		wait := backoff.next(last)
		if ctx.Err() == nil {
			m.log.Warn(startTrouble(last)+", trying again",
				zap.Int("attempt", attempts), zap.Duration("again_in", wait), zap.Error(last))
		}
		return wait, false
	})
	err := retry.Do(ctx, waits, func(ctx context.Context) error {
		attempts++
		err := m.start(ctx) // one for each attempt: acquires read it meanwhile
		if last = err; err == nil {
			return nil
		}
		m.startErr.Store(&err)
		if !again(last) {
			return last
		}
		return retry.RetryableError(last)
	})
	if err != nil && last != nil && !errors.Is(err, last) {
		err = fmt.Errorf("gave up after %d attempts: %w (%w)", attempts, last, err)
	}
	return err
}

// start is one attempt.
func (m *Monitor) start(ctx context.Context) error {
	began := time.Now()
	warm := context.WithValue(ctx, warming{}, true)
	srv, err := m.checkServer(warm)
	if err != nil {
		return fmt.Errorf("start the pool on %s: %w", m.Database(), err)
	}
	if m.cfg.BeforeReady != nil {
		if err := m.cfg.BeforeReady(ctx); err != nil {
			return err
		}
	}
	// Until watch keeps the clock it stands still, and what begins now would seem old.
	m.clock.Store(time.Now().UnixNano())
	if err := m.warm(warm); err != nil {
		return fmt.Errorf("warm the pool on %s: %w", m.Database(), err)
	}
	m.clock.Store(time.Now().UnixNano())
	m.callers.Store(callersPerTick)
	if !m.state.CompareAndSwap(stateStarting, stateReady) {
		return m.over()
	}
	m.background.Go(func() { m.watch(m.closing) })
	m.background.Go(func() { m.lookout(m.closing) })
	if other := claimDatabase(m); other != "" {
		m.log.Warn("a second pool on the same database in one process: share one instead",
			zap.String("database", m.Database()), zap.String("first_opened_by", other), zap.String("opened_by", m.cfg.OpenedBy))
	}
	m.log.Info("pool started", zap.String("database", m.Database()), zap.String("server", srv.version),
		zap.Int32("min", m.cfg.Pool.MinConns), zap.Int32("max", m.cfg.Pool.MaxConns), zap.Duration("elapsed", time.Since(began)))
	return nil
}

// abandon closes what a failed start opened. All connections are back by then,
// so the drain has nothing to wait for.
func (m *Monitor) abandon() {
	_, _ = Drain(context.Background(), m, 0)
}

// warm opens the minimum at once. It holds what it has until all are there, so
// that every acquire opens a connection of its own.
func (m *Monitor) warm(ctx context.Context) error {
	n := min(max(1, int(m.cfg.Pool.MinConns)), int(m.cfg.Pool.MaxConns))
	conns := make([]*pgxpool.Conn, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { conns[i], errs[i] = m.Acquire(ctx, Request{Client: "start"}) })
	}
	wg.Wait()
	for _, c := range conns {
		if c != nil {
			c.Release()
		}
	}
	return errors.Join(errs...)
}
