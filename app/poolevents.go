package main

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/agentagency/onepool/lifecycle"
)

// buckets are the upper bounds of all histograms, in seconds.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// histogram counts durations by bucket; the last count is of longer durations.
type histogram struct {
	counts []int64
	sum    float64
}

func newHistogram() histogram { return histogram{counts: make([]int64, len(buckets)+1)} }

func (h *histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(buckets, d.Seconds())
	h.counts[i]++
	h.sum += d.Seconds()
}

// poolEvents counts the events of a pool, by client. poolEvents is a
// [lifecycle.Observer] with the method Ended.
type poolEvents struct {
	mu          sync.Mutex
	clients     map[string]*clientEvents
	closedOther int64
}

type clientEvents struct {
	acquires                       map[string]int64 // by result
	errors                         map[string]int64 // by SQLSTATE or class
	connectFailures                int64
	wait, hold, connect, statement histogram
}

// mostErrors bounds the SQLSTATEs of a client: a function on the server may raise any.
const mostErrors = 64

func newPoolEvents() *poolEvents { return &poolEvents{clients: make(map[string]*clientEvents)} }

// know shows a client's counters at 0: a counter's first step shows only after a 0.
func (e *poolEvents) know(client string) { e.count(client, func(*clientEvents) {}) }

func (e *poolEvents) count(client string, change func(*clientEvents)) {
	client = cmp.Or(client, "pool") // the pool keeps its minimum by itself
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.clients[client]
	if c == nil {
		c = &clientEvents{
			acquires: map[string]int64{"ok": 0, "timeout": 0, "queue_full": 0, "canceled": 0, "error": 0}, errors: make(map[string]int64),
			wait: newHistogram(), hold: newHistogram(), connect: newHistogram(), statement: newHistogram(),
		}
		e.clients[client] = c
	}
	change(c)
}

// Acquired counts the result and the wait of an acquire.
func (e *poolEvents) Acquired(client string, waited time.Duration, err error) {
	e.count(client, func(c *clientEvents) {
		c.acquires[acquireResult(err)]++
		c.wait.observe(waited)
	})
}

func acquireResult(err error) string {
	switch class := lifecycle.ErrorClass(err); class {
	case "":
		return "ok"
	case "timeout", "queue_full":
		return class
	case "canceled", "deadline_exceeded":
		return "canceled"
	}
	return "error"
}

// Released counts the length of a hold.
func (e *poolEvents) Released(client string, held time.Duration) {
	e.count(client, func(c *clientEvents) { c.hold.observe(held) })
}

// Connected counts the time to open a connection, or the failure.
func (e *poolEvents) Connected(client string, took time.Duration, err error) {
	e.count(client, func(c *clientEvents) {
		if err != nil {
			c.connectFailures++
			return
		}
		c.connect.observe(took)
	})
}

// Ended counts the time of a statement, and the error.
func (e *poolEvents) Ended(client string, took time.Duration, err error) {
	e.count(client, func(c *clientEvents) {
		c.statement.observe(took)
		class := lifecycle.ErrorClass(err)
		if class == "" {
			return
		}
		if _, known := c.errors[class]; !known && len(c.errors) >= mostErrors {
			class = "other"
		}
		c.errors[class]++
	})
}

// other keeps the count from falling while a connection opens or closes.
func (e *poolEvents) other(closed int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closedOther = max(e.closedOther, closed)
	return e.closedOther
}

func (p *metricPage) addEvents(e *poolEvents) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for client, c := range sorted(e.clients) {
		for result, n := range sorted(c.acquires) {
			p.counter("acquires_total", "Acquires that ended, by result: ok, timeout, queue_full, canceled, error.", float64(n), "client", client, "result", result)
		}
		for code, n := range sorted(c.errors) {
			p.counter("statement_errors_total", "Statements, batches and COPYs that failed, by SQLSTATE, or canceled, deadline_exceeded, connection, other.", float64(n), "client", client, "sqlstate", code)
		}
		p.counter("connect_failures_total", "Attempts to open a connection that failed.", float64(c.connectFailures), "client", client)
		p.histogram("acquire_wait_seconds", "Wait of each acquire, with any result; 0 if nobody waited.", c.wait, "client", client)
		p.histogram("connection_hold_seconds", "Time from an acquire to its release.", c.hold, "client", client)
		p.histogram("connect_seconds", "Time to open a connection.", c.connect, "client", client)
		p.histogram("statement_seconds", "Time of each statement, batch and COPY, from its sending until its rows are closed.", c.statement, "client", client)
	}
}

// sorted returns a map's pairs by key: a page has the same order each time.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
