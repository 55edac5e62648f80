package fxdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
)

// The waits between attempts of the listener to connect: 20 ms, doubled up to 5 s, each up
// to a half shorter or longer.
const (
	listenRetryWait = 20 * time.Millisecond
	listenRetryMost = 5 * time.Second
)

func newListenBackoff() retry.Backoff {
	return retry.WithJitterPercent(50, retry.WithCappedDuration(listenRetryMost, retry.NewExponential(listenRetryWait)))
}

// listener is the connection that all subscriptions of a pool share. The listener's
// goroutine lives as long as subscriptions exist.
type listener struct {
	monitor *lifecycle.Monitor
	log     *zap.Logger
	timeout time.Duration // of a connect, and of a LISTEN

	changes chan struct{} // buffered 1: subs have changed

	mu        sync.Mutex
	subs      map[*Subscription]struct{}
	running   bool
	connected bool
	lost      int64 // sessions that were lost
	failure   error // of the last attempt; nil while the server listens
}

// ListenerStats are the figures of the connection that all subscriptions share.
type ListenerStats struct {
	Connected     bool  `json:"connected"`     // the server listens
	Subscriptions int   `json:"subscriptions"` // see DB.Listen
	Channels      int   `json:"channels"`      // of all subscriptions together
	Lost          int64 `json:"lost"`          // how often the connection was lost, and a gap was announced
}

func newListener(m *lifecycle.Monitor, log *zap.Logger, timeout time.Duration) *listener {
	return &listener{monitor: m, log: log, timeout: timeout,
		changes: make(chan struct{}, 1), subs: make(map[*Subscription]struct{})}
}

func (l *listener) stats() ListenerStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ListenerStats{l.connected, len(l.subs), len(channelsOf(slices.Collect(maps.Keys(l.subs)))), l.lost}
}

// subscribe adds a subscription, and waits until the server listens.
func (l *listener) subscribe(ctx context.Context, channels []string) (*Subscription, error) {
	s := newSubscription(l, channels)
	if err := l.add(s); err != nil {
		return nil, err
	}
	patience := time.NewTimer(l.timeout)
	defer patience.Stop()
	var err error
	select {
	case <-s.ready:
		return s, nil
	case <-s.done:
		return nil, s.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
		err = errors.New("the server did not confirm the channels within DB_CONNECTION_TIMEOUT_MS")
	}
	s.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return nil, fmt.Errorf("listen: %w: %w", err, l.failure)
	}
	return nil, fmt.Errorf("listen: %w", err)
}

func (l *listener) add(s *Subscription) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running && !l.monitor.Go(l.run) {
		if l.monitor.Draining() {
			return ErrDraining
		}
		return ErrNotStarted
	}
	l.running = true
	l.subs[s] = struct{}{}
	l.change()
	return nil
}

func (l *listener) remove(s *Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.subs[s]; ok {
		delete(l.subs, s)
		l.change()
	}
}

// change makes the goroutine look at subs.
func (l *listener) change() {
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// run connects again until no subscription is left or the drain begins.
func (l *listener) run(ctx context.Context) {
	backoff, attempts := newListenBackoff(), 0
	for {
		served, err := l.session(ctx)
		if served {
			backoff, attempts = newListenBackoff(), 0
		}
		if l.ends(ctx, err) {
			return
		}
		if err == nil {
			continue // a new subscription came when the last subscription went
		}
		wait, _ := backoff.Next() // this backoff has no end
		if attempts++; attempts == 1 {
			l.log.Warn("listener has no connection and retries: Next returns a gap to every subscriber",
				zap.String("database", l.monitor.Database()), zap.Error(err))
		}
		l.pause(ctx, wait)
	}
}

// ends notes how a session ended, and reports whether the goroutine ends: nobody
// subscribes, or the drain has begun.
func (l *listener) ends(ctx context.Context, failure error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected && failure != nil {
		l.lost++
	}
	l.connected, l.failure = false, failure
	switch {
	case ctx.Err() != nil:
		for s := range l.subs {
			s.end(ErrDraining)
		}
		clear(l.subs)
	case isRefused(failure):
		for s := range l.subs {
			if s.endUnready(fmt.Errorf("listen: %w", failure)) {
				delete(l.subs, s)
			}
		}
	}
	l.running = len(l.subs) > 0
	return !l.running
}

// isRefused reports whether the server answers, and would give another attempt the same
// answer.
func isRefused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && !slices.ContainsFunc([]string{"08", "53", "57"}, func(class string) bool {
		return strings.HasPrefix(pgErr.Code, class)
	})
}

// pause waits before the next attempt, or until the subscriptions change.
func (l *listener) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.changes:
	case <-ctx.Done():
	}
}

// subscriptions returns the current subscriptions.
func (l *listener) subscriptions() []*Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.subs))
}

// session serves the subscriptions over one connection. served reports whether the server
// has listened.
func (l *listener) session(ctx context.Context) (served bool, err error) {
	if len(l.subscriptions()) == 0 {
		return false, nil
	}
	connecting, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := l.monitor.Connect(connecting, "listen")
	if err != nil {
		return false, err
	}
	wire, err := conn.PgConn().Hijack()
	if err != nil {
		return false, err
	}
	s := newListenSession(l, wire)
	defer s.close()
	err = s.serve(ctx)
	return len(s.heard) > 0, err
}
