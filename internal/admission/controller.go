package admission

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned by every acquire from Close on, to callers that already
// wait too.
var ErrClosed = errors.New("admission is closed: the pool is stopping")

// ErrTimeout is returned by AcquireWithin when the limit of its wait is over.
var ErrTimeout = errors.New("no permit within the limit")

// Controller gives out the permits of one pool. It is safe for concurrent use.
type Controller struct {
	mu     sync.Mutex // guards all that follows
	cfg    Config
	dryRun bool
	closed bool

	free     int // permits that nobody holds; negative after Capacity shrank, and in a dry run
	unmet    int // permits that clients have reserved and do not hold
	headroom int // in permits, at most
	demand
	tenantMax int // in permits; 0: no limit

	clients  []*Client
	byName   map[string]*Client
	tenants  tenants
	waiting  int
	arrivals int64 // waiters since ever, and turns that were over
	waiters  sync.Pool

	ticks      int64 // the clock, see used
	ticking    bool
	timer      *time.Timer
	startTimer func()

	tuning
}

// tuning is the same for all controllers but those of the model.
type tuning struct {
	patience    int   // see patience
	activeTicks int64 // see activeTicks
	part        int   // the headroom is at most one part of so many
	headStart   int64 // see headStart
	inTimeInRow int   // see inTimeInRow
	inTimeMost  int   // see inTimeMost
}

// New returns a Controller for cfg, or an *InvalidError that names the field that
// can't be used. It starts nothing.
func New(cfg Config) (*Controller, error) {
	if err := checkCapacity(cfg.Capacity, 0); err != nil {
		return nil, err
	}
	if err := checkShare(cfg.TenantMaxFraction); err != nil {
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

// Client returns the client of that name, a new one without limits if there is
// none. Clients are kept for ever: name them after parts of the program.
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

// SetCapacity changes how many permits there are. More go to waiters at once; fewer
// take nothing from a holder: nothing is granted until enough came back. It returns
// an *InvalidError, and changes nothing, when n is less than 1 or no more than the
// reserves.
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

// SetTenantMaxFraction changes Config.TenantMaxFraction, or returns an *InvalidError.
func (a *Controller) SetTenantMaxFraction(share float64) error {
	if err := checkShare(share); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cfg.TenantMaxFraction = share
	a.review()
	return nil
}

// Close fails every acquire from now on, those that wait at once, with ErrClosed.
// Permits that are out can still be released. A second Close does nothing.
func (a *Controller) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.ticking = true // or a release would start the timer again
	if a.timer != nil {
		a.timer.Stop()
	}
	for _, c := range a.clients {
		for _, lanes := range []*lanes{&c.busy, &c.fresh, &c.blocked} {
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

// reserved is the sum of the reserves, without that of except.
func (a *Controller) reserved(except *Client) int {
	n := 0
	for _, c := range a.clients {
		if c != except {
			n += c.limits.Reserve
		}
	}
	return n
}

// setLimits is Client.SetLimits.
func (a *Controller) setLimits(c *Client, l Limits) error {
	if err := l.check(c.name); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if others := a.reserved(c); l.Reserve > 0 && l.Reserve >= a.cfg.Capacity-others {
		return &InvalidError{Client: c.name, Field: "Reserve", Reason: fmt.Sprintf(
			"is %d, and others have reserved %d, of a capacity of %d: one permit must stay for everybody; lower it or raise the capacity",
			l.Reserve, others, a.cfg.Capacity)}
	}
	c.limits = l
	a.review()
	return nil
}
