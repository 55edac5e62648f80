package admission

import (
	"fmt"
	"slices"
)

// model drives a real Controller, without goroutines and without time, beside the
// spec, and looks after every step whether both have done the same.
type model struct {
	*spec
	ctl     *Controller
	clients []*Client
	waiters []*waiter // as in spec.queue
	steady  bool      // no limit was changed
}

// op is one step of the model.
type op struct {
	kind   opKind
	c, t   int
	n      int  // place in the queue, new capacity
	flag   bool // ask: watch this waiter; release: a permit of the watched one's round
	limits Limits
	late   bool // release: the first who is served by it gives up at the same moment
}

type opKind int

const (
	opAsk     opKind = iota
	opTry            // and don't wait
	opCancel         // waiter n
	opRelease        // of client c and tenant t
	opTick
	opLimits    // of client c
	opCapacity  // n
	opTenantMax // n
	opObserve   // flag: in time
)

// changes reports whether it is of a limit.
func (k opKind) changes() bool { return k >= opLimits && k <= opTenantMax }

func (o op) String() string {
	name := []string{"ask", "try", "cancel", "release", "tick", "limits", "capacity", "tenantMax", "observe"}[o.kind]
	return fmt.Sprintf("%s(c%d t%d n%d %v %v)", name, o.c, o.t, o.n, o.flag, o.late)
}

// setup is where a model begins.
type setup struct {
	capacity, headroom, tenantMax, tenants int
	limits                                 []Limits
	tuning
}

func tenantName(t int) string {
	if t == 0 {
		return ""
	}
	return fmt.Sprint("t", t)
}

// newReal builds what the model drives.
func (u setup) newReal() (*Controller, []*Client) {
	a, err := New(Config{Capacity: u.capacity, TenantMaxFraction: float64(u.tenantMax) / float64(u.capacity), Headroom: u.wantedHeadroom()})
	if err != nil {
		panic(err)
	}
	a.startTimer = func() {}
	a.tuning, a.enough = u.tuning, u.inTimeInRow
	a.review()
	var clients []*Client
	for i, l := range u.limits {
		c := a.Client(fmt.Sprint("c", i))
		if err := c.SetLimits(l); err != nil {
			panic(err)
		}
		clients = append(clients, c)
	}
	return a, clients
}

func (u setup) wantedHeadroom() int {
	if u.headroom == 0 {
		return -1
	}
	return u.headroom
}

func (u setup) newModel() *model {
	a, clients := u.newReal()
	return &model{
		spec: newSpec(u.capacity, u.headroom, u.tenantMax, u.tenants, u.limits, u.tuning),
		ctl:  a, clients: clients, steady: true,
	}
}

// do makes one step with both and returns an error where they differ or where a
// rule is broken.
func (m *model) do(u setup, o op) error {
	before := m.clone()
	m.apply(u, o)
	granted, err := m.real(o)
	if err != nil {
		return err
	}
	if len(m.waiters) != len(m.queue) {
		return fmt.Errorf("%d wait, not %d", len(m.waiters), len(m.queue))
	}
	if o.kind.changes() {
		m.steady = false
	}
	if err := m.promises(before, granted); err != nil {
		return err
	}
	return m.books()
}

// apply makes the step with the spec.
func (m *model) apply(u setup, o op) {
	s := m.spec
	switch o.kind {
	case opAsk:
		s.ask(o.c, o.t, true, o.flag)
	case opTry:
		s.ask(o.c, o.t, false, false)
	case opCancel:
		s.cancel(o.n)
	case opRelease:
		queue := slices.Clone(s.queue)
		s.release(o.c, o.t, o.flag)
		if i := firstServed(queue, s.queue); o.late && i >= 0 {
			s.release(queue[i].c, queue[i].t, false)
		}
	case opTick:
		s.tick()
	case opLimits:
		s.limits[o.c] = o.limits
		s.dispatch()
	case opCapacity:
		s.capacity, s.tenantMax = o.n, tenantMax(s.share, o.n)
		s.headroom = headroom(u.wantedHeadroom(), o.n, s.part)
		s.dispatch()
	case opTenantMax:
		s.tenantMax, s.share = o.n, float64(o.n)/float64(s.capacity)
		s.dispatch()
	case opObserve:
		s.observe(o.flag)
		s.dispatch()
	}
}

// firstServed returns the place in before of the first waiter that is not in after.
func firstServed(before, after []specWaiter) int {
	return slices.IndexFunc(before, func(w specWaiter) bool {
		return !slices.ContainsFunc(after, func(v specWaiter) bool { return v.id == w.id })
	})
}

// real makes the step with the real thing and returns what the clients got in it.
func (m *model) real(o op) (granted int, err error) {
	a := m.ctl
	switch o.kind {
	case opAsk:
		w, err := m.clients[o.c].enter(tenantName(o.t))
		if err != nil {
			return 0, err
		}
		if w != nil {
			m.waiters = append(m.waiters, w)
		} else {
			granted++
		}
	case opTry:
		if m.clients[o.c].TryAcquire(tenantName(o.t)) {
			granted++
		}
	case opCancel:
		w := m.waiters[o.n]
		m.waiters = slices.Delete(m.waiters, o.n, o.n+1)
		w.lane.client.leave(w)
		a.waiters.Put(w)
	case opRelease:
		m.clients[o.c].Release(tenantName(o.t), 0)
		if i := slices.IndexFunc(m.waiters, func(w *waiter) bool { return !w.queued }); o.late && i >= 0 {
			w := m.waiters[i]
			m.waiters = slices.Delete(m.waiters, i, i+1)
			w.lane.client.leave(w)
			a.waiters.Put(w)
		}
	case opTick:
		a.tick()
	case opLimits:
		err = m.clients[o.c].SetLimits(o.limits)
	case opCapacity:
		err = a.SetCapacity(o.n)
	case opTenantMax:
		err = a.SetTenantMaxFraction(float64(o.n) / float64(a.cfg.Capacity))
	case opObserve:
		a.observeWait(o.flag)
	}
	m.waiters = slices.DeleteFunc(m.waiters, func(w *waiter) bool {
		select {
		case <-w.ready:
			granted++
			a.waiters.Put(w)
			return true
		default:
			return false
		}
	})
	return granted, err
}

// drain gives everything back, the given client's permits last, and nobody asks any
// more: whoever waits must be served by it, one for every release at the least.
func (m *model) drain(u setup, last int) error {
	for steps := m.capacity + 64 + 2*len(m.queue); ; steps-- {
		if steps == 0 {
			return fmt.Errorf("%d still wait", len(m.queue))
		}
		o := op{kind: opTick}
		for c := range m.held {
			for t := range m.held[c] {
				if m.held[c][t] > 0 && (o.kind == opTick || o.c == last) {
					o = op{kind: opRelease, c: c, t: t, flag: m.old[c][t] > 0}
				}
			}
		}
		if o.kind == opTick {
			if len(m.queue) == 0 {
				return nil
			}
			if !m.ctl.ticking {
				return fmt.Errorf("%d wait, nobody holds anything, and the clock stands still", len(m.queue))
			}
		}
		if err := m.do(u, o); err != nil {
			return fmt.Errorf("drain, %v: %w", o, err)
		}
	}
}
