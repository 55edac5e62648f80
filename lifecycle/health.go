package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A server that stops answering is noticed within a second: by the first look
// that finds no answer younger than probeFor, after probeTimeout. The monitor's own
// looks for that come every silenceEvery.
const (
	probeTimeout = 500 * time.Millisecond
	// probeFor is how long an answer of the server counts as proof that it
	// answers: the pool's own traffic, or the last probe.
	probeFor = 300 * time.Millisecond
	// lookEvery is how often the pool is looked at unasked, whatever it does.
	lookEvery    = time.Second
	silenceEvery = lookEvery / 10
)

// Health is one look at the pool. Error holds no password, but may name the login, the
// database and the host: [Monitor.Ready] shows strangers none of these.
type Health struct {
	Status    Status        `json:"status"`
	Ready     bool          `json:"ready"`           // started, not draining, and the server answers and takes writes
	Error     string        `json:"error,omitempty"` // why it is not ready
	Latency   time.Duration `json:"latency_ns"`      // of the last probe: connect and ask; of the start's where none was needed since
	CheckedAt time.Time     `json:"checked_at"`      // when the server last answered or failed to
	Max       int           `json:"max"`
	Total     int           `json:"total"`
	Idle      int           `json:"idle"`
	Active    int           `json:"active"`
	Waiting   int           `json:"waiting"`

	cause error // of Error
}

type health struct {
	lastAnswer atomic.Int64 // unix ns of the last statement that succeeded
	standby    atomic.Int64 // unix ns of the last sign that the server takes no writes; 0: none

	timeout atomic.Int64 // of a probe
	probing sync.Mutex   // one probe at a time; others take its result

	mu        sync.Mutex // guards the last probe's result
	err       error
	latency   time.Duration
	checkedAt time.Time

	watchers watchers
}

// measured keeps what the start has measured.
func (h *health) measured(latency time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latency = latency
}

// Health judges the pool: its utilisation over the last second, its waits over the
// last ten, and its server. Where the pool's own traffic proved just now that the
// server answers, nothing is sent; else a probe goes over a connection of its own,
// bounded by half a second, its result kept for a third of one. It never waits for
// a connection of the pool, so a saturated pool is not mistaken for an unreachable
// server. A server that is a read-only standby, or whose sessions are read-only by
// default, is not ready, unless the connection string asks for that
// (target_session_attrs read-only, standby or prefer-standby, or
// default_transaction_read_only).
func (m *Monitor) Health(ctx context.Context) Health {
	if m.mayAcquire(context.Background()) != nil {
		return m.judge(nil)
	}
	return m.judge(m.probe(ctx))
}

// judge is the health where err is why the server can't be used, if it can't.
func (m *Monitor) judge(err error) Health {
	if m.leaving.Load() {
		err = errLeaving
	}
	if draining := m.mayAcquire(context.Background()); draining != nil {
		err = draining // it may have begun since
	}
	h := m.figures()
	h.Status = m.pressure.status(m.acquires.Load(), h.Max)
	for _, o := range m.cfg.SiblingPools {
		status, reason := o.known()
		h.Status = max(h.Status, status)
		if err == nil && reason != nil {
			err = fmt.Errorf("%s: %w", o.cfg.OpenedBy, reason)
		}
	}
	h.Ready = err == nil
	if err != nil {
		h.Status, h.Error, h.cause = Unhealthy, err.Error(), err
	}
	m.tell(h)
	return h
}

// known is the verdict without a look at the server, and why it can't be used, if it can't.
func (m *Monitor) known() (Status, error) {
	if err := m.mayAcquire(context.Background()); err != nil {
		return Unhealthy, err
	}
	if err := m.probeError(); err != nil {
		return Unhealthy, err
	}
	if err := m.refusal(); err != nil {
		return Unhealthy, err
	}
	return m.pressure.status(m.acquires.Load(), int(m.cfg.Pool.MaxConns)), nil
}

// Latency is the time that the last probe took, or the start if no probe was needed since.
func (m *Monitor) Latency() time.Duration {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	return m.health.latency
}

// figures is the part of a look that is no verdict.
func (m *Monitor) figures() Health {
	st := m.pool.Stat()
	return Health{
		Latency: m.Latency(), CheckedAt: m.LastCheck(),
		Max: int(st.MaxConns()), Total: int(st.TotalConns()), Idle: int(st.IdleConns()),
		Active: int(st.AcquiredConns()), Waiting: m.Waiting(),
	}
}

// lookout looks at the pool every second until ctx ends, and when the answers to a
// busy pool stop, so that a change is told even where nobody asks. An idle pool's
// server is not asked whether it is there, unless it was away the last time.
func (m *Monitor) lookout(ctx context.Context) {
	tick := time.NewTicker(silenceEvery)
	defer tick.Stop()
	var looked time.Time
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.lossTold:
			m.lookAfterLoss(ctx)
			m.judge(m.probeError())
			continue
		case <-tick.C:
		}
		now, was := time.Now(), silent
		busy := m.held.Load() > 0 || m.waiting.Load() > 0
		silent = busy && now.Sub(time.Unix(0, m.health.lastAnswer.Load())) >= probeFor
		if (was || !silent) && now.Sub(looked) < lookEvery {
			continue
		}
		looked = now
		if busy || m.probeError() != nil || m.health.standby.Load() != 0 {
			m.Health(ctx)
		} else {
			m.judge(nil)
		}
	}
}

// probeError returns why the last probe could not reach the server, if that is the
// last thing heard of it.
func (m *Monitor) probeError() error {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if refusesWrites(m.health.err) || m.health.checkedAt.UnixNano() < m.health.lastAnswer.Load() {
		return nil
	}
	return m.health.err
}

// Status returns the verdict by the connections in use at this moment, a burst
// included, and by the last look at the server. It sends nothing.
func (m *Monitor) Status() Status {
	if !m.Started() || m.probeError() != nil || m.refusal() != nil {
		return Unhealthy
	}
	st := m.pool.Stat()
	return utilisationStatus(float64(st.AcquiredConns()), int(st.MaxConns()))
}

// LastCheck returns when the server last answered or failed to; zero before that.
func (m *Monitor) LastCheck() time.Time {
	m.health.mu.Lock()
	at := m.health.checkedAt
	m.health.mu.Unlock()
	if ns := m.health.lastAnswer.Load(); ns > 0 && time.Unix(0, ns).After(at) {
		return time.Unix(0, ns)
	}
	return at
}

func (m *Monitor) probe(ctx context.Context) error {
	if m.health.standby.Load() == 0 && time.Since(time.Unix(0, m.health.lastAnswer.Load())) < probeFor {
		return nil
	}
	m.health.probing.Lock()
	defer m.health.probing.Unlock()
	m.health.mu.Lock()
	last, at := m.health.err, m.health.checkedAt
	m.health.mu.Unlock()
	if time.Since(at) < probeFor {
		return last
	}
	return m.askNow(ctx)
}

// ask is probe where an answer that is known already won't do.
func (m *Monitor) ask(ctx context.Context) error {
	m.health.probing.Lock()
	defer m.health.probing.Unlock()
	return m.askNow(ctx)
}

func (m *Monitor) askNow(ctx context.Context) error {
	// The result is shared, so it must not depend on one caller's patience.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(m.health.timeout.Load()))
	defer cancel()
	defer context.AfterFunc(m.closing, cancel)()
	began := time.Now()
	conn, err := m.connect(ctx)
	if err == nil {
		err = m.look(ctx, conn)
		closeConn(conn)
	}
	if isFull(err) {
		err = nil // an answer too; the pool's own connections may be what it is full of
	}
	if err != nil && !refusesWrites(err) && m.health.lastAnswer.Load() > began.UnixNano() {
		err = nil // it was slow to take a connection, but others got answers
	}
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.latency, m.health.checkedAt, m.health.err = time.Since(began), time.Now(), err
	return err
}

// Live answers 200 as long as the process can answer. It never looks at the
// database: restarting a program does not mend its server.
func (m *Monitor) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
}

// Ready answers 200 while the pool is started and its server answers, 503 else,
// from the first moment of a drain on too, with a Health as its body. A busy
// pool is ready. The body's error names no login, database or host; the log does.
func (m *Monitor) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := m.Health(r.Context())
		code := http.StatusOK
		if !h.Ready {
			code, h.Error = http.StatusServiceUnavailable, publicReason(h.cause)
		}
		writeJSON(w, code, h)
	})
}

// publicReason is why a pool is not ready, for strangers: the error of a connection names
// the login, the database and the host.
func publicReason(err error) string {
	for _, known := range []error{ErrNotStarted, ErrDraining, errLeaving, errStandby, errReadOnly} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the server can't be reached: the log says why"
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer can't be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(raw, '\n'))
}
