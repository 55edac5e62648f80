package lifecycle

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"
)

// The waits of the prober between attempts: 10 ms, doubled up to 200 ms, each up to a half
// shorter or longer. After proberPatience without a result the prober begins a second attempt
// beside the first: packets of the first attempt may be lost.
const (
	proberWait     = 10 * time.Millisecond
	proberWaitMost = 200 * time.Millisecond
	proberPatience = time.Second
)

func newProberBackoff() retry.Backoff {
	return retry.WithJitterPercent(50, retry.WithCappedDuration(proberWaitMost, retry.NewExponential(proberWait)))
}

// breaker lets a single prober dial while the server can't be reached. A connect of the pool
// that can't reach the server opens the breaker, and the first success of the prober closes
// the breaker for all callers.
type breaker struct {
	outage   atomic.Pointer[outage] // nil: the breaker is closed
	attempts atomic.Int64           // of the prober, since New

	proved  atomic.Bool   // the pool has opened a connection since the prober's last start
	backoff retry.Backoff // of the prober that runs
}

// outage is the result of the last attempt to reach the server.
type outage struct {
	failure error
	over    chan struct{} // closed at the end of the prober's next attempt
}

func newOutage(failure error) *outage { return &outage{failure, make(chan struct{})} }

// awayError refuses a connect, with the failure of the last attempt.
type awayError struct{ *outage }

func (e *awayError) Error() string { return e.failure.Error() }
func (e *awayError) Unwrap() error { return e.failure }

// proberKey marks the connects of the prober.
type proberKey struct{}

// refuse returns an *awayError if ctx is not the prober's and the breaker is open.
func (b *breaker) refuse(ctx context.Context) error {
	if o := b.outage.Load(); o != nil && ctx.Value(proberKey{}) == nil {
		return &awayError{o}
	}
	return nil
}

// become replaces the outage, and wakes the waiters for the end of the attempt.
func (b *breaker) become(now *outage) {
	if was := b.outage.Swap(now); was != nil {
		close(was.over)
	}
}

// attemptAfter returns a channel that closes at the end of the prober's next attempt after
// err, or nil if the breaker is closed.
func (b *breaker) attemptAfter(err error) <-chan struct{} {
	var away *awayError
	if errors.As(err, &away) {
		return away.over
	}
	if o := b.outage.Load(); o != nil {
		return o.over
	}
	return nil
}

// mayDial refuses a connect of the pool while the breaker is open. An acquire from the pool
// itself makes a single attempt, so the acquire waits for the result of the prober's next
// attempt.
func (m *Monitor) mayDial(ctx context.Context) error {
	err := m.breaker.refuse(ctx)
	if a := acquisitionOf(ctx); err != nil && a != nil && a.raw && m.cfg.ServerWaitFraction > 0 {
		select {
		case <-m.breaker.attemptAfter(err):
			return m.breaker.refuse(ctx)
		case <-ctx.Done():
		}
	}
	return err
}

// dial is the pool's dialer. dial asks the breaker again: a connect may have waited since for a
// place of connectsAtOnce. A cancel request passes.
func (m *Monitor) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if ctx.Value(connectingKey{}) != nil {
		if err := m.breaker.refuse(ctx); err != nil {
			return nil, err
		}
	}
	return m.sockets.dial(ctx, network, addr)
}

// connected takes the result of a connect of the pool.
func (m *Monitor) connected(err error) {
	var away *awayError
	switch {
	case err == nil:
		m.breaker.proved.Store(true)
		return
	case !isAway(err) || errors.As(err, &away) || !m.Started():
		return
	}
	o := newOutage(err)
	if m.breaker.outage.CompareAndSwap(nil, o) && !m.Go(m.probeUntilBack) {
		m.breaker.become(nil) // a drain has begun
	}
}

// isAway reports whether a connect found no server. A full server is there.
func isAway(err error) bool { return isUnavailable(err) && !isFull(err) }

// probeUntilBack dials until the server answers, and closes the breaker.
func (m *Monitor) probeUntilBack(ctx context.Context) {
	b := &m.breaker
	if b.proved.Swap(false) || b.backoff == nil {
		b.backoff = newProberBackoff()
	}
	began, failed := time.Now(), 0
	ctx, cancel := context.WithCancel(context.WithValue(ctx, proberKey{}, true))
	var attempts sync.WaitGroup
	defer attempts.Wait()
	defer cancel()
	results, running := make(chan proof), 0
	next := time.NewTimer(pause(b.backoff))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done(): // a drain
			b.become(nil)
			return
		case <-next.C:
			running++
			attempts.Go(func() {
				p := m.prove(ctx)
				select {
				case results <- p:
				case <-ctx.Done():
					p.close()
				}
			})
			next.Reset(proberPatience)
		case p := <-results:
			if !isAway(p.err) {
				b.become(nil)
				if failed > 0 {
					m.log.Info("pool reaches its server again", zap.String("database", m.Database()), zap.Int("attempts", failed+1), zap.Duration("away", time.Since(began)))
				}
				m.probeBack(ctx, p)
				return
			}
			b.become(newOutage(p.err))
			if failed++; failed == 1 {
				m.log.Warn("pool can't reach its server: a single prober dials for all callers", zap.String("database", m.Database()), zap.Error(p.err))
			}
			if running--; running == 0 {
				next.Reset(pause(b.backoff))
			}
		}
	}
}

func pause(b retry.Backoff) time.Duration {
	wait, _ := b.Next() // the prober's backoff has no end
	return wait
}

// proof is the result of an attempt of the prober.
type proof struct {
	conn *pgx.Conn // nil after an error
	err  error
}

func (p proof) close() {
	if p.conn != nil {
		closeConn(p.conn)
	}
}

// prove opens a connection with the pool's settings.
func (m *Monitor) prove(ctx context.Context) proof {
	m.breaker.attempts.Add(1)
	if m.cfg.Pool.ConnConfig.ConnectTimeout <= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.cfg.AcquireTimeout)
		defer cancel()
	}
	conn, err := m.connect(ctx)
	return proof{conn, err}
}

// probeBack probes the server that the prober has reached: a second server may have taken the
// place of the first.
func (m *Monitor) probeBack(ctx context.Context, p proof) {
	defer p.close()
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(m.health.timeout.Load()))
	defer cancel()
	_ = m.probeOver(ctx, p.conn) // the next probe reports the error
}

// connectRetryMost bounds the waits of a caller between two attempts: a connection may come
// back to the pool while the server takes no new connections.
const (
	connectRetryWait = 10 * time.Millisecond
	connectRetryMost = 500 * time.Millisecond
)

// outlast waits after an attempt that failed with err, until the prober's next attempt ends. A
// server that is full has no prober: outlast backs off. outlast returns ErrServerAway if the
// caller may not wait longer, and ctx.Err() if ctx ends.
func (m *Monitor) outlast(ctx context.Context, a *acquisition, backoff retry.Backoff, err error) error {
	wait, attempt := pause(backoff), m.breaker.attemptAfter(err)
	if attempt != nil && m.cfg.ServerWaitFraction < 1 {
		left := a.serverWait() - a.waited()
		if left <= 0 {
			return ErrServerAway
		}
		wait = min(wait, left)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-attempt:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// serverWait returns how long a may wait in all while the server can't be reached.
func (a *acquisition) serverWait() time.Duration {
	whole := a.timeout()
	if deadline, ok := a.Context.Deadline(); ok {
		whole = min(whole, time.Until(deadline)+a.waited())
	}
	return time.Duration(max(0, a.m.cfg.ServerWaitFraction) * float64(whole))
}
