package admission

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is the error of every acquire from [Controller.Close] on, including acquires that
// wait already.
var ErrClosed = errors.New("admission is closed: the pool is stopping")

// ErrTimeout is the error of [Client.AcquireWithin] after a wait of the given limit.
var ErrTimeout = errors.New("no permit within the limit")

// Controller shares out the permits of a pool. A Controller is safe for concurrent use.
type Controller struct {
	mu     sync.Mutex // guards all following fields
	cfg    Config
	dryRun bool
	closed bool

	free          int // permits that nobody holds; negative after Capacity shrank, and in a dry run
	unusedReserve int // permits that clients have reserved and do not hold
	headroom      int // in permits, at most
	demand
	tenantMax int // in permits; 0: no limit

	clients  []*Client
	byName   map[string]*Client
	tenants  tenants
	waiting  int
	arrivals int64 // number of waiters since New, and of turns that ended
	waiters  sync.Pool

	ticks      int64 // the clock, see used
	ticking    bool
	timer      *time.Timer
	startTimer func()

	tuning
}

// tuning is equal for all controllers except the controllers of the model in the tests.
type tuning struct {
	patience    int   // see patience
	activeTicks int64 // see activeTicks
	part        int   // the headroom is at most the capacity divided by part
	headStart   int64 // see headStart
	inTimeInRow int   // see inTimeInRow
	inTimeMost  int   // see inTimeMost
}

// New returns a [Controller] for cfg, or an [*InvalidError] that names the invalid field. New
// starts no goroutine and no timer.
func New(cfg Config) (*Controller, error) {
	if err := checkCapacity(cfg.Capacity, 0); err != nil {
		return nil, err
	}
	if err := checkFraction(cfg.TenantMaxFraction); err != nil {
		return nil, err
	}
	a := &Controller{
		cfg: cfg, dryRun: cfg.DryRun, free: cfg.Capacity,
		byName: map[string]*Client{}, tenants: tenants{byName: map[string]*tenant{}},
		tuning: tuning{patience, activeTicks, headroomPart, headStart, inTimeInRow, inTimeMost},
		demand: demand{halves: 2, enough: inTimeInRow},
	}
	a.waiters.New = func() any {
		w := &waiter{ready: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
		w.timer.Stop()
		w.node.of = w
		return w
	}
	a.startTimer = a.runTimer
	a.review()
	return a, nil
}

// Client returns the client with the given name, a new client without limits if the name is
// unknown. The controller keeps clients for ever: name clients after parts of the program.
func (a *Controller) Client(name string) *Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.byName[name]
	if !ok {
		long := a.ticks - a.activeTicks - 1
		c = &Client{ctl: a, name: name, number: len(a.clients), seen: long, none: tenant{seen: long}}
		c.last = &c.none
		a.byName[name] = c
		a.clients = append(a.clients, c)
	}
	return c
}

// SetCapacity changes the number of permits. Waiters get additional permits at once. Holders
// keep their permits when the capacity shrinks: the controller grants nothing until enough
// permits have come back. SetCapacity returns an [*InvalidError], and changes nothing, when n is
// less than 1 or no more than the reserves.
func (a *Controller) SetCapacity(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := checkCapacity(n, a.reserved(nil)); err != nil {
		return err
	}
	a.free += n - a.cfg.Capacity
	a.cfg.Capacity = n
	a.review()
	return nil
}

// SetTenantMaxFraction changes Config.TenantMaxFraction, or returns an [*InvalidError].
func (a *Controller) SetTenantMaxFraction(fraction float64) error {
	if err := checkFraction(fraction); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cfg.TenantMaxFraction = fraction
	a.review()
	return nil
}

// Close makes every acquire fail with [ErrClosed] from now on; current waiters fail at once.
// Holders can still release permits. A second Close does nothing.
func (a *Controller) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.ticking = true // or a release would start the timer again
	if a.timer != nil {
		a.timer.Stop()
	}
	for _, c := range a.clients {
		for _, lanes := range []*lanes{&c.busy, &c.fresh, &c.aside} {
			for len(*lanes) > 0 {
				w := (*lanes)[0].front()
				a.unqueue(w)
				a.tenants.rest(w.lane.tenant, c, a.ticks)
				w.err = ErrClosed
				w.ready <- struct{}{}
			}
		}
	}
}

// reserved is the sum of the reserves, without the reserve of except.
func (a *Controller) reserved(except *Client) int {
	n := 0
	for _, c := range a.clients {
		if c != except {
			n += c.limits.Reserve
		}
	}
	return n
}

// setLimits implements [Client.SetLimits].
func (a *Controller) setLimits(c *Client, l Limits) error {
	if err := l.check(c.name); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if others := a.reserved(c); l.Reserve > 0 && l.Reserve >= a.cfg.Capacity-others {
		return &InvalidError{Client: c.name, Field: "Reserve", Reason: fmt.Sprintf(
			"a reserve of %d beside reserves of %d leaves none of %d connections to the remaining clients: lower the reserve, or make the pool larger",
			l.Reserve, others, a.cfg.Capacity)}
	}
	c.limits = l
	a.review()
	return nil
}
