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

// The start modes. An error of a reachable server (a refused password, an old server, a
// failed migration) fails the start in every mode. A start in the background can't fail the
// application any more: the start slowly retries errors that an operator can mend. A final
// error (Config.BeforeReady) ends the retries for good, with a line in the log.
const (
	StartRequire StartMode = "require" // fail at once
	StartWait    StartMode = "wait"    // try again until the start's time is over
	StartDegrade StartMode = "degrade" // start with a warning and connect in the background
)

// warming marks the acquires of Start itself: these acquires may pass the gate.
type warming struct{}

// Start opens a connection and checks the server, runs BeforeReady, opens the pool's minimum of
// connections concurrently (at least a single connection), and opens the gate. The pool keeps
// the first connection, unless Config.Migrates is true or Config.Pool has an AfterConnect.
// Config.Start is the mode if the server can't be reached.
//
// Start's own wait for its connections is bounded by ctx, not by
// Config.AcquireTimeout. If ctx has no deadline, each connection may take
// the longer of DefaultAcquireTimeout and Config.AcquireTimeout.
//
// Start keeps to four fifths of the time left until ctx's deadline: the following start
// hooks keep a share of the time. A failed Start leaves nothing open. Start returns an error
// for a pool whose start has failed, or whose drain has begun; the error names the reason.
// Start of a started pool is a no-op with a warning in the log.
func (m *Monitor) Start(ctx context.Context) error {
	m.startMu.Lock()
	defer m.startMu.Unlock()
	switch m.state.Load() {
	case stateStarting, stateReady:
		m.log.Warn("pool is already started")
		return nil
	case stateDraining, stateStopped:
		return m.stopError()
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
		m.log.Warn("pool starts without the server, and retries in the background", zap.String("database", m.Database()), zap.Error(err))
		m.startErr.Store(&err)
		m.background.Go(m.startInBackground)
		return nil
	}
	m.failed.Store(&err)
	m.abandon()
	return err
}

// startInBackground retries the start until the start succeeds, the error is final, or the
// pool stops. The log, health and every acquire report a failure.
func (m *Monitor) startInBackground() {
	err := m.startRetrying(m.closing, func(err error) bool { return !isFinal(err) })
	if err != nil && m.closing.Err() == nil {
		m.log.Error("pool gives up the start, because a retry would fail in the same way: remove the cause, and restart the application",
			zap.String("database", m.Database()), zap.Error(err))
	}
}

// startRetrying retries, backing off, while mayRetry returns true and ctx lasts.
func (m *Monitor) startRetrying(ctx context.Context, mayRetry func(error) bool) error {
	attempts := 0
	var last error
	backoff := newStartBackoff(m.startWaits)
	waits := retry.BackoffFunc(func() (time.Duration, bool) {
		wait := backoff.next(last)
		if ctx.Err() == nil {
			m.log.Warn(startTrouble(last)+", retrying",
				zap.Int("attempt", attempts), zap.Duration("again_in", wait), zap.Error(last))
		}
		return wait, false
	})
	err := retry.Do(ctx, waits, func(ctx context.Context) error {
		attempts++
		err := m.start(ctx) // a new variable for each attempt: acquires read startErr meanwhile
		if last = err; err == nil {
			return nil
		}
		m.startErr.Store(&err)
		if !mayRetry(last) {
			return last
		}
		return retry.RetryableError(last)
	})
	if err != nil && last != nil && !errors.Is(err, last) {
		err = fmt.Errorf("gave up after %d attempts: %w (%w)", attempts, last, err)
	}
	return err
}

// start makes a single attempt.
func (m *Monitor) start(ctx context.Context) error {
	began := time.Now()
	warm := context.WithValue(ctx, warming{}, true)
	srv, err := m.meetServer(warm)
	if err != nil {
		return fmt.Errorf("start the pool on %s: %w", m.Database(), err)
	}
	if m.cfg.BeforeReady != nil {
		if err := m.cfg.BeforeReady(ctx); err != nil {
			return err
		}
	}
	// Until watch keeps the clock, the clock stands still, and a new connection would seem old.
	m.clock.Store(time.Now().UnixNano())
	if err := m.warm(warm); err != nil {
		return fmt.Errorf("warm the pool on %s: %w", m.Database(), err)
	}
	m.clock.Store(time.Now().UnixNano())
	m.callers.Store(callersPerTick)
	if !m.state.CompareAndSwap(stateStarting, stateReady) {
		return m.stopError()
	}
	m.background.Go(func() { m.watch(m.closing) })
	m.background.Go(func() { m.watchHealth(m.closing) })
	m.background.Go(func() { m.runCanceller(m.closing) })
	if other := claimDatabase(m); other != "" {
		m.log.Warn("a second pool on the same database in one process: use a single pool",
			zap.String("database", m.Database()), zap.String("first_opened_by", other), zap.String("opened_by", m.cfg.OpenedBy))
	}
	m.log.Info("pool started", zap.String("database", m.Database()), zap.String("server", srv.version),
		zap.Int32("min", m.cfg.Pool.MinConns), zap.Int32("max", m.cfg.Pool.MaxConns), zap.Duration("elapsed", time.Since(began)))
	return nil
}

// abandon closes the connections of a failed start. All connections are back already: the
// drain waits for cancel requests alone.
func (m *Monitor) abandon() {
	_, _ = Drain(context.Background(), m, cancelMost)
}

// warm opens the minimum concurrently. warm holds every connection until all are open: each
// acquire then opens a new connection.
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
