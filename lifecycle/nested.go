package lifecycle

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"
)

// NestedMode is the mode for an acquire by a goroutine whose transaction, or whose half read
// rows, hold a connection already. A plain acquired connection does not count: a listener
// may hold a connection for good, and deadlocks nothing.
type NestedMode string

// The modes. A goroutine's identity costs microseconds in Go: NestedWarn looks at a sample.
// The monitor remembers every 16th transaction, and compares an acquire with the remembered
// transactions if the acquire has to wait or has the same context. The monitor also
// remembers every 16th reader of rows, for acquires that have to wait.
const (
	NestedOff    NestedMode = "off"
	NestedWarn   NestedMode = "warn"   // log the first nested acquire per client; fail if MaxConns(1) dooms it
	NestedStrict NestedMode = "strict" // fail every nested acquire with ErrNestedAcquire: for tests
)

// nestedSample is how many transactions pass for each transaction that NestedWarn remembers.
const nestedSample = 16

// remembersTransaction reports whether the monitor remembers the next transaction.
func (m *Monitor) remembersTransaction() bool {
	return m.cfg.Nested == NestedStrict || m.cfg.Nested == NestedWarn && m.transactions.Add(1)%nestedSample == 1
}

// readsRows notes that the calling goroutine reads rows from the connection, which is held.
func (s *slot) readsRows() {
	m := s.m
	if m.cfg.Nested != NestedStrict && (m.cfg.Nested != NestedWarn || m.readings.Add(1)%nestedSample != 1) {
		return
	}
	id := goroutineID()
	s.mu.Lock()
	first := s.held && s.goroutine == 0
	if first {
		s.goroutine, s.reads = id, true
	}
	s.mu.Unlock()
	if first {
		m.remember(s)
	}
}

// nestedIn finds the transaction or the rows of the calling goroutine that hold a connection.
// If same is set, only transactions whose context has the Done channel same count. The usual
// search finds nothing, and allocates nothing.
func (m *Monitor) nestedIn(same <-chan struct{}) *slot {
	m.rememberedMu.RLock()
	defer m.rememberedMu.RUnlock()
	var id uint64
	for _, s := range m.rememberedSlots {
		s.mu.Lock()
		goroutine := s.goroutine
		maybe := goroutine != 0 && (same == nil || s.done == same)
		s.mu.Unlock()
		if !maybe {
			continue
		}
		if id == 0 {
			id = goroutineID()
		}
		if goroutine == id {
			return s
		}
	}
	return nil
}

// remember notes that a transaction, or rows, of a known goroutine hold s.
func (m *Monitor) remember(s *slot) {
	m.rememberedMu.Lock()
	m.rememberedSlots = append(m.rememberedSlots, s)
	m.rememberedMu.Unlock()
	m.remembered.Add(1)
}

func (m *Monitor) forget(s *slot) {
	m.rememberedMu.Lock()
	if i := slices.Index(m.rememberedSlots, s); i >= 0 {
		m.rememberedSlots = slices.Delete(m.rememberedSlots, i, i+1)
	}
	m.rememberedMu.Unlock()
	m.remembered.Add(-1)
}

// refuseNested is called before an acquire.
func (m *Monitor) refuseNested(a *acquisition) error {
	if m.remembered.Load() == 0 {
		return nil
	}
	switch m.cfg.Nested {
	case NestedStrict:
		if s := m.nestedIn(nil); s != nil {
			m.countNested(a)
			return fmt.Errorf("%w (the connection is held by %s)", ErrNestedAcquire, s.holder())
		}
	case NestedWarn:
		// Unrelated callers share a context without a Done channel.
		if done := a.Context.Done(); done != nil {
			m.warnNested(a, done)
		}
	}
	return nil
}

// warnNested logs a nested acquire, and marks a as nested for a later error.
func (m *Monitor) warnNested(a *acquisition, same <-chan struct{}) {
	if a.nested {
		return
	}
	s := m.nestedIn(same)
	if s == nil {
		return
	}
	a.nested = true
	m.nestedAsk.Add(1)
	m.countNested(a)
	if _, logged := m.nestedSeen.LoadOrStore(a.request.Client, true); !logged {
		m.log.Warn("nested acquire: a goroutine asks for a second connection while the goroutine's transaction or rows hold a connection: a full pool deadlocks",
			append(append(m.holderFields(s.holder()), zap.String("asked_by", a.request.Client)), m.logFields(a.Context)...)...)
	}
}

func (m *Monitor) countNested(a *acquisition) {
	m.incidents.count(a.request.Client, func(i *Incidents) { i.Nested++ })
}

// amongNested reports whether a nested acquire waited at the same time as a. Both may wait in
// the same deadlock if the monitor did not remember a's transaction.
func (m *Monitor) amongNested(a *acquisition) bool {
	return m.nestedAsk.Load() > 0 || m.nestedFailed.Load() >= time.Now().Add(-a.waited()).UnixNano()
}

// refuseHopeless fails a nested acquire that would wait for a permit of its own goroutine's
// transaction.
func (a *acquisition) refuseHopeless() error {
	if !a.nested || a.request.Permits.Limits().Max != 1 {
		return nil
	}
	s := a.m.nestedIn(nil)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	own := s.held && s.permits == a.request.Permits && !s.reads // any goroutine may read on
	s.mu.Unlock()
	if !own {
		return nil
	}
	return fmt.Errorf("%w (the connection is held by %s, and MaxConns of the client is 1)", ErrNestedAcquire, s.holder())
}

// goroutineID is the number in the first line of the goroutine's trace,
// "goroutine 17 [running]:". Go has no other public way to the number.
func goroutineID() (id uint64) {
	var buf [64]byte
	n := runtime.Stack(buf[:], false)
	for _, c := range buf[len("goroutine "):n] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}
