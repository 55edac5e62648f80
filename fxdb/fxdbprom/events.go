package fxdbprom

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/lifecycle"
)

const namespace = "onepool"

// The buckets are in seconds. A point read takes 0.1 ms. Operators compare a wait with a timeout
// of seconds, a hold with the leak threshold of a minute, a statement with the statement timeout.
var (
	waitBuckets      = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	holdBuckets      = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	statementBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	connectBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// events counts the events of a pool. events has no reference to the pool: the pool can refer to
// events without a cycle.
type events struct {
	acquires, failures, errors     *prometheus.CounterVec
	wait, hold, connect, statement *prometheus.HistogramVec

	mu      sync.Mutex
	clients atomic.Pointer[map[string]*series] // replaced, never changed
}

// series holds the metrics of a client, looked up once: a lookup by label costs more than an
// acquire.
type series struct {
	client string

	ok, timeout, queueFull, canceled, failed prometheus.Counter
	connectFailed                            prometheus.Counter
	wait, hold, connect, statement           prometheus.Observer

	mu     sync.Mutex
	errors map[string]prometheus.Counter // by SQLSTATE
}

// mostErrors bounds the SQLSTATEs of a client: a function on the server may raise any SQLSTATE.
const mostErrors = 64

func newEvents(pool prometheus.Labels) *events {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: name, Help: help, ConstLabels: pool,
		}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, ConstLabels: pool, Buckets: buckets,
		}, []string{"client"})
	}
	e := &events{
		acquires:  counter("acquires_total", "Acquires that ended, by result: ok, timeout, queue_full, canceled, error.", "client", "result"),
		failures:  counter("connect_failures_total", "Attempts to open a connection that failed.", "client"),
		wait:      histogram("acquire_wait_seconds", "Wait of each acquire, successful or not; 0 without a wait.", waitBuckets),
		hold:      histogram("connection_hold_seconds", "Time from an acquire to its release.", holdBuckets),
		connect:   histogram("connect_seconds", "Time to open a connection.", connectBuckets),
		statement: histogram("statement_seconds", "Time of each statement, batch and COPY, from its sending until its rows are closed.", statementBuckets),
		errors:    counter("statement_errors_total", "Statements, batches and COPYs that failed, by SQLSTATE, or canceled, deadline_exceeded, connection, other.", "client", "sqlstate"),
	}
	e.clients.Store(&map[string]*series{})
	return e
}

func (e *events) of(client string) *series {
	if client == "" {
		client = "pool" // the pool opens connections to keep the minimum
	}
	if s := (*e.clients.Load())[client]; s != nil {
		return s
	}
	client = strings.ToValidUTF8(client, "\uFFFD") // client_golang panics on an invalid label
	e.mu.Lock()
	defer e.mu.Unlock()
	known := *e.clients.Load()
	if s := known[client]; s != nil {
		return s
	}
	s := &series{
		client:        client,
		ok:            e.acquires.WithLabelValues(client, "ok"),
		timeout:       e.acquires.WithLabelValues(client, "timeout"),
		queueFull:     e.acquires.WithLabelValues(client, "queue_full"),
		canceled:      e.acquires.WithLabelValues(client, "canceled"),
		failed:        e.acquires.WithLabelValues(client, "error"),
		connectFailed: e.failures.WithLabelValues(client),
		wait:          e.wait.WithLabelValues(client),
		hold:          e.hold.WithLabelValues(client),
		connect:       e.connect.WithLabelValues(client),
		statement:     e.statement.WithLabelValues(client),
		errors:        make(map[string]prometheus.Counter),
	}
	now := maps.Clone(known)
	now[client] = s
	e.clients.Store(&now)
	return s
}

// Acquired counts the result and the wait of an acquire.
func (e *events) Acquired(client string, waited time.Duration, err error) {
	s := e.of(client)
	s.result(err).Inc()
	s.wait.Observe(waited.Seconds())
}

func (s *series) result(err error) prometheus.Counter {
	switch lifecycle.ErrorClass(err) {
	case "":
		return s.ok
	case "timeout":
		return s.timeout
	case "queue_full":
		return s.queueFull
	case "canceled", "deadline_exceeded":
		return s.canceled
	}
	return s.failed
}

// Ended counts the time and the error of a statement.
func (e *events) Ended(client string, took time.Duration, err error) {
	s := e.of(client)
	s.statement.Observe(took.Seconds())
	if class := lifecycle.ErrorClass(err); class != "" {
		e.failed(s, class).Inc()
	}
}

func (e *events) failed(s *series, class string) prometheus.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.errors[class]
	if c == nil && len(s.errors) >= mostErrors {
		class = "other"
		c = s.errors[class]
	}
	if c == nil {
		c = e.errors.WithLabelValues(s.client, class)
		s.errors[class] = c
	}
	return c
}

// Released counts the time of a hold.
func (e *events) Released(client string, held time.Duration) {
	e.of(client).hold.Observe(held.Seconds())
}

// Connected counts the time to open a connection, or the failure.
func (e *events) Connected(client string, took time.Duration, err error) {
	if s := e.of(client); err != nil {
		s.connectFailed.Inc()
	} else {
		s.connect.Observe(took.Seconds())
	}
}

// Describe sends the descriptions of all vectors.
func (e *events) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range e.vectors() {
		c.Describe(ch)
	}
}

// Collect sends the counts and the histograms.
func (e *events) Collect(ch chan<- prometheus.Metric) {
	for _, c := range e.vectors() {
		c.Collect(ch)
	}
}

func (e *events) vectors() []prometheus.Collector {
	return []prometheus.Collector{e.acquires, e.failures, e.errors, e.wait, e.hold, e.connect, e.statement}
}
