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

// The monitor notices within a second that a server has stopped answering. The first probe
// without an answer younger than probeFor notices after probeTimeout. The monitor checks for
// silence every silenceEvery.
const (
	probeTimeout = 500 * time.Millisecond
	// probeFor is how long an answer counts as proof that the server answers: an answer to
	// the pool's own traffic, or to the last probe.
	probeFor = 300 * time.Millisecond
	// assessEvery is how often the monitor assesses the pool unasked, busy or idle.
	assessEvery  = time.Second
	silenceEvery = assessEvery / 10
)

// Health is the result of one assessment of the pool. Error holds no password, but may name the login, the
// database and the host: [Monitor.Ready] shows none of these to the public.
type Health struct {
	Status    Status        `json:"status"`
	Ready     bool          `json:"ready"`           // started, not draining, and the server answers and takes writes
	Error     string        `json:"error,omitempty"` // why the pool is not ready
	Latency   time.Duration `json:"latency_ns"`      // of the last probe: connect and ask; of the start's probe if no probe ran since
	CheckedAt time.Time     `json:"checked_at"`      // when the server last answered or failed to answer
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
	probing sync.Mutex   // a single probe at a time; concurrent callers take the result of the probe

	mu        sync.Mutex // guards the last probe's result
	err       error
	latency   time.Duration
	checkedAt time.Time

	watchers watchers
}

// measured keeps the latency of the start's check of the server.
func (h *health) measured(latency time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latency = latency
}

// Health judges the pool: the utilisation over the last second, the waits over the last ten
// seconds, and the server. Health sends nothing if the pool's own traffic has just proved
// that the server answers. If not, a probe opens a separate connection, bounded by half a
// second; Health keeps the result of the probe for 300 ms. Health never waits for a
// connection of the pool: a saturated pool does not look like an unreachable server.
//
// A read-only standby is not ready, nor is a server whose sessions are read-only by default,
// unless the connection string asks for read-only sessions (target_session_attrs read-only,
// standby or prefer-standby, or default_transaction_read_only).
func (m *Monitor) Health(ctx context.Context) Health {
	if m.mayAcquire(context.Background()) != nil {
		return m.assess(nil)
	}
	return m.assess(m.probe(ctx))
}

// assess returns the health. err is the reason if the pool can't use the server, else nil.
func (m *Monitor) assess(err error) Health {
	if m.leaving.Load() {
		err = errLeaving
	}
	if draining := m.mayAcquire(context.Background()); draining != nil {
		err = draining // the drain may have begun since
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
	m.notify(h)
	return h
}

// known returns the status without a probe of the server, and the reason if the pool can't
// use the server.
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

// Latency returns the duration of the last probe, or of the start's check of the server if
// no probe ran since.
func (m *Monitor) Latency() time.Duration {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	return m.health.latency
}

// figures returns the part of a Health without the status.
func (m *Monitor) figures() Health {
	st := m.pool.Stat()
	return Health{
		Latency: m.Latency(), CheckedAt: m.LastCheck(),
		Max: int(st.MaxConns()), Total: int(st.TotalConns()), Idle: int(st.IdleConns()),
		Active: int(st.AcquiredConns()), Waiting: m.Waiting(),
	}
}

// watchHealth assesses the pool every second until ctx ends, and when the answers to a busy pool
// stop: [Monitor.OnChange] reports a change even if nobody calls Health. watchHealth does not ask
// the server of an idle pool, unless the last probe failed.
func (m *Monitor) watchHealth(ctx context.Context) {
	tick := time.NewTicker(silenceEvery)
	defer tick.Stop()
	var assessed time.Time
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.lossSeen:
			m.probeAfterLoss(ctx)
			m.assess(m.probeError())
			continue
		case <-tick.C:
		}
		now, was := time.Now(), silent
		busy := m.held.Load() > 0 || m.waiting.Load() > 0
		silent = busy && now.Sub(time.Unix(0, m.health.lastAnswer.Load())) >= probeFor
		if (was || !silent) && now.Sub(assessed) < assessEvery {
			continue
		}
		assessed = now
		if busy || m.probeError() != nil || m.health.standby.Load() != 0 {
			m.Health(ctx)
		} else {
			m.assess(nil)
		}
	}
}

// probeError returns why the last probe could not reach the server, or nil if the server
// has answered since.
func (m *Monitor) probeError() error {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if refusesWrites(m.health.err) || m.health.checkedAt.UnixNano() < m.health.lastAnswer.Load() {
		return nil
	}
	return m.health.err
}

// Status returns the status by the connections in use at this moment, a burst
// included, and by the last probe of the server. Status sends nothing.
func (m *Monitor) Status() Status {
	if !m.Started() || m.probeError() != nil || m.refusal() != nil {
		return Unhealthy
	}
	st := m.pool.Stat()
	return utilisationStatus(float64(st.AcquiredConns()), int(st.MaxConns()))
}

// LastCheck returns when the server last answered or failed to answer; zero before.
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

// ask probes the server even if a recent answer is known.
func (m *Monitor) ask(ctx context.Context) error {
	m.health.probing.Lock()
	defer m.health.probing.Unlock()
	return m.askNow(ctx)
}

func (m *Monitor) askNow(ctx context.Context) error {
	// Callers share the result: a caller's deadline must not decide the result.
	timeout := time.Duration(m.health.timeout.Load())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer context.AfterFunc(m.closing, cancel)()
	began := time.Now()
	conn, err := m.connect(ctx)
	if err == nil {
		err = m.probeOver(ctx, conn)
		closeConn(conn)
	}
	if isFull(err) {
		err = nil // a full server has answered; the pool's own connections may fill the server
	}
	if err != nil && !refusesWrites(err) && m.health.lastAnswer.Load() > began.UnixNano() {
		err = nil // the server was slow to take a connection, but has answered statements
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) { // a busy machine delays a probe too
		err = fmt.Errorf("a probe got no answer within %s: %w", timeout, err)
	}
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.latency, m.health.checkedAt, m.health.err = time.Since(began), time.Now(), err
	return err
}

// NetworkDead reports that the network is silent: within the last second a connection ended
// after five seconds of silence, and the last probe of the server failed. A new connection is
// unlikely.
func (m *Monitor) NetworkDead() bool {
	return time.Since(time.Unix(0, m.sockets.silent.Load())) < time.Second && m.probeError() != nil
}

// Live answers 200 as long as the process can answer. Live never asks the database:
// a restart of a program does not mend the server.
func (m *Monitor) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
}

// Ready answers 200 while the pool is started and [Health].Ready is true, and 503 if not. From
// the first moment of a drain on Ready answers 503. The body is a [Health]. A busy pool is
// ready. The body's error names no login, database or host; the log names them.
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

// publicReason returns why a pool is not ready, for the public: the error of a connection
// names the login, the database and the host.
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
