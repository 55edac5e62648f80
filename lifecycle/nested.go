package lifecycle

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// ErrNestedAcquire is returned in NestedStrict by an acquire whose own goroutine
// began a transaction, or began to read rows, that still hold a connection: as many of
// these at once as the pool is large wait for each other. In NestedWarn an
// *AcquireError is it too, where that was found.
var ErrNestedAcquire = errors.New("nested acquire: use the transaction that this goroutine has begun, or first end it, or close the rows that it reads")

// NestedMode says what becomes of an acquire by a goroutine whose transaction, or
// whose half read rows, hold a connection already. A connection that was acquired by
// itself does not count: a listener's may be held for good, and deadlocks nothing.
type NestedMode string

// The modes. A goroutine's identity costs microseconds in Go, so NestedWarn looks
// at a part: one transaction in 16 is remembered, and an acquire is compared with
// it where it has to wait or comes with the same context. So are one in 16 of those
// who read rows, for an acquire that has to wait.
const (
	NestedOff    NestedMode = "off"
	NestedWarn   NestedMode = "warn"   // log it, once for each client, and fail it where MaxConns(1) means that it can't ever be served
	NestedStrict NestedMode = "strict" // fail it with ErrNestedAcquire, every time: for tests
)

// nestedSample is how many transactions there are to one that NestedWarn remembers.
const nestedSample = 16

// remembersTransaction decides for an acquire that is for a transaction.
func (m *Monitor) remembersTransaction() bool {
	return m.cfg.Nested == NestedStrict || m.cfg.Nested == NestedWarn && m.transactions.Add(1)%nestedSample == 1
}

// Reads tells that the calling goroutine reads rows from a connection that is held.
func Reads(conn *pgx.Conn) {
	s := slotOf(conn)
	if s == nil {
		return
	}
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

// nestedIn finds the transaction or the rows of this goroutine that hold a connection. Where
// same is set, only transactions whose context has that Done channel count. Usually
// there is none, which costs no allocation.
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

// remember notes that s is held by a transaction, or for rows, whose goroutine is known.
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
			return fmt.Errorf("%w (it is held by %s)", ErrNestedAcquire, s.holder())
		}
	case NestedWarn:
		// Without a Done channel it is a context that everybody has.
		if done := a.Context.Done(); done != nil {
			m.warnNested(a, done)
		}
	}
	return nil
}

// warnNested logs a nested acquire and remembers it for the error, should there be one.
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
	if _, told := m.nestedTold.LoadOrStore(a.request.Client, true); !told {
		m.log.Warn("nested acquire: a goroutine asks for a second connection while its transaction, or the rows that it reads, hold one; a full pool deadlocks by this",
			append(append(holderFields(s.holder()), zap.String("asked_by", a.request.Client)), m.logFields(a.Context)...)...)
	}
}

func (m *Monitor) countNested(a *acquisition) {
	m.incidents.count(a.request.Client, func(i *Incidents) { i.Nested++ })
}

// amongNested reports whether a nested acquire waited while a did. Both may wait in one
// deadlock, in which the pool did not remember a's transaction.
func (m *Monitor) amongNested(a *acquisition) bool {
	return m.nestedAsk.Load() > 0 || m.nestedFailed.Load() >= time.Now().Add(-a.waited()).UnixNano()
}

// refuseHopeless fails a nested acquire that would wait for a permit which only its own
// goroutine's transaction can give back.
func (a *acquisition) refuseHopeless() error {
	if !a.nested || a.request.Share.Limits().Max != 1 {
		return nil
	}
	s := a.m.nestedIn(nil)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	own := s.held && s.share == a.request.Share && !s.reads // which another goroutine may read on
	s.mu.Unlock()
	if !own {
		return nil
	}
	return fmt.Errorf("%w (it is held by %s, and its MaxConns is 1)", ErrNestedAcquire, s.holder())
}

// goroutineID is the number in the first line of the goroutine's trace,
// "goroutine 17 [running]:"; there is no other public way to it.
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
