package admission

import (
	"context"
	"fmt"
	"time"
)

// Client takes and returns permits under a name. [Controller.Client] returns a Client, which is
// safe for concurrent use.
type Client struct {
	ctl    *Controller
	name   string
	number int // among the controller's clients

	// Guarded by the controller's mutex.
	limits Limits
	seen   int64   // tick of the last use
	none   tenant  // work for no tenant
	last   *tenant // tenant of the last acquire, to spare a look-up
	active int     // idle tenants whose last use, lately, was through this client
	queue
	tally
}

// TryAcquire takes a permit for tenant, which may be empty, if the client may have a permit now.
// TryAcquire never waits. After [Controller.Close] TryAcquire returns false.
func (c *Client) TryAcquire(tenant string) bool {
	a := c.ctl
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return false
	}
	t := c.tenant(tenant)
	ok, _ := a.admit(c, t)
	if !ok {
		c.tryFailed++
		t.tryFailed++
		a.used(c, t)
		a.dispatch(returned{}) // a permit may have been kept for t in another client
	}
	a.mu.Unlock()
	return ok
}

// Acquire takes a permit for tenant, which may be empty, and waits for a permit if necessary.
// Acquire fails with ctx.Err() when ctx ends first, and with [ErrClosed] from [Controller.Close]
// on. An ended ctx matters only if the caller has to wait.
func (c *Client) Acquire(ctx context.Context, tenant string) error {
	_, err := c.AcquireWithin(ctx, tenant, 0)
	return err
}

// AcquireWithin is [Client.Acquire] with a wait of at most limit, and fails with [ErrTimeout]
// afterwards; a limit of 0 means no limit. AcquireWithin needs no timer per call, unlike a
// context with a deadline. AcquireWithin returns the duration of the wait, 0 if the caller did
// not have to wait.
func (c *Client) AcquireWithin(ctx context.Context, tenant string, limit time.Duration) (waited time.Duration, err error) {
	done := ctx.Done() // before a waiter is in the queue: foreign code may panic
	w, err := c.enter(tenant)
	if w == nil {
		return 0, err
	}
	began := time.Now()
	t := w.lane.tenant
	select {
	case <-w.ready:
		err = w.err
	case <-done:
		c.leave(w)
		err = ctx.Err()
	case <-w.within(limit):
		c.leave(w)
		err = ErrTimeout
	}
	w.timer.Stop()
	waited = time.Since(began)
	if late := waited > lateAfter; w.short && (late || err == nil) {
		c.ctl.observeWait(!late)
	}
	c.ctl.waiters.Put(w)
	c.waits.add(waited, err)
	t.waits.add(waited, err)
	return waited, err
}

// enter takes a permit or, if no permit is available, returns a waiter in the queue.
func (c *Client) enter(tenant string) (*waiter, error) {
	a := c.ctl
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	t := c.tenant(tenant)
	ok, short := a.admit(c, t)
	if ok {
		return nil, nil
	}
	return a.enqueue(c, t, short), nil
}

// leave takes w out of the queue. If w has just received a permit, leave passes the permit on to
// the next waiter.
func (c *Client) leave(w *waiter) {
	a := c.ctl
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.queued {
		a.abandon(w)
		return
	}
	<-w.ready
	if w.err == nil {
		t := w.lane.tenant
		c.granted--
		t.granted--
		a.give(c, t)
	}
}

// Release returns a permit that the caller took for tenant and held for the duration held. Only
// [Controller.Stats] uses held; 0 means not measured. Release panics when this client holds no
// permit or when tenant holds none.
func (c *Client) Release(tenant string, held time.Duration) {
	a := c.ctl
	a.mu.Lock()
	t := c.last
	if t.name != tenant || t.gone {
		t = c.find(tenant)
	}
	if c.held == 0 || t == nil || t.held == 0 {
		a.mu.Unlock()
		panic(fmt.Sprintf("admission: client %q releases a permit for tenant %q that the client does not hold", c.name, tenant))
	}
	c.holds.add(held)
	t.holds.add(held)
	a.give(c, t)
	a.mu.Unlock()
}

// SetLimits changes the client's limits, at any time. Holders keep their permits; waiters that
// the new limits admit get permits at once. SetLimits returns an [*InvalidError], and changes
// nothing, for invalid limits and for a reserve that leaves no permit to everybody.
func (c *Client) SetLimits(l Limits) error { return c.ctl.setLimits(c, l) }

// Limits returns the limits that [Client.SetLimits] set last.
func (c *Client) Limits() Limits {
	c.ctl.mu.Lock()
	defer c.ctl.mu.Unlock()
	return c.limits
}

// Name returns the client's name.
func (c *Client) Name() string { return c.name }

// tenant returns the tenant with the given name, a new tenant if necessary, and remembers the
// tenant in c.last.
func (c *Client) tenant(name string) *tenant {
	if c.last.name != name || c.last.gone {
		if c.last = c.find(name); c.last == nil {
			c.last = c.ctl.tenants.add(name)
		}
	}
	return c.last
}

// find returns the tenant with the given name, nil if unknown.
func (c *Client) find(name string) *tenant {
	if name == "" {
		return &c.none
	}
	return c.ctl.tenants.byName[name]
}

// atMax reports whether the client holds Limits.Max permits.
func (c *Client) atMax() bool { return c.limits.Max > 0 && c.held >= c.limits.Max }

func (c *Client) weight() int64 { return int64(max(1, c.limits.Weight)) }
