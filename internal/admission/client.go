package admission

import (
	"context"
	"fmt"
	"time"
)

// Client takes and returns permits in one name. It comes from Controller.Client and
// is safe for concurrent use.
type Client struct {
	ctl    *Controller
	name   string
	number int // among the controller's clients

	// Guarded by the controller's mutex.
	limits Limits
	seen   int64   // tick of the last use
	none   tenant  // work for no tenant
	last   *tenant // of the last acquire, to spare looking for it again
	active int     // idle tenants that used this client last, and lately
	queue
	tally
}

// TryAcquire takes a permit for tenant, which may be empty, if there is one for this
// client now; it never waits. It returns false after Close too.
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
		c.refused++
		t.refused++
		a.used(c, t)
		a.dispatch(gift{}) // a permit may have been kept for t in another client
	}
	a.mu.Unlock()
	return ok
}

// Acquire takes a permit for tenant, which may be empty, and waits for one if need
// be. It fails with ctx.Err() when ctx ends first, and with ErrClosed from Close on.
// Where nobody has to wait, ctx is not looked at.
func (c *Client) Acquire(ctx context.Context, tenant string) error {
	_, err := c.AcquireWithin(ctx, tenant, 0)
	return err
}

// AcquireWithin is Acquire that waits no longer than limit, where that is not 0, and
// fails with ErrTimeout then. It costs no timer of its own, as a context with a
// deadline would. It returns how long it waited, which is 0 where nobody had to.
func (c *Client) AcquireWithin(ctx context.Context, tenant string, limit time.Duration) (waited time.Duration, err error) {
	done := ctx.Done() // before there is a waiter to leave behind: it is not our code
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
		c.ctl.served(!late)
	}
	c.ctl.waiters.Put(w)
	c.waits.add(waited, err)
	t.waits.add(waited, err)
	return waited, err
}

// enter takes a permit or, if there is none, returns a waiter in the queue.
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

// leave takes w out of the queue. A permit that was given in this instant goes on to
// the next.
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

// Release returns a permit that was taken for tenant and held for so long, which is
// for Stats alone: 0 where nobody measured it. It panics when this client and this
// tenant hold none.
func (c *Client) Release(tenant string, held time.Duration) {
	a := c.ctl
	a.mu.Lock()
	t := c.last
	if t.name != tenant || t.gone {
		t = c.find(tenant)
	}
	if c.held == 0 || t == nil || t.held == 0 {
		a.mu.Unlock()
		panic(fmt.Sprintf("admission: client %q releases a permit for tenant %q that it does not hold", c.name, tenant))
	}
	c.holds.add(held)
	t.holds.add(held)
	a.give(c, t)
	a.mu.Unlock()
}

// SetLimits changes what the client may have, at any time. Nothing is taken from a
// holder; what may be granted now is granted at once. It returns an *InvalidError,
// and changes nothing, for limits that can't be, and for a reserve that leaves no
// permit to everybody.
func (c *Client) SetLimits(l Limits) error { return c.ctl.setLimits(c, l) }

// Limits returns what SetLimits set last.
func (c *Client) Limits() Limits {
	c.ctl.mu.Lock()
	defer c.ctl.mu.Unlock()
	return c.limits
}

// Name returns the client's name.
func (c *Client) Name() string { return c.name }

// tenant returns the tenant of that name and remembers it.
func (c *Client) tenant(name string) *tenant {
	if c.last.name != name || c.last.gone {
		if c.last = c.find(name); c.last == nil {
			c.last = c.ctl.tenants.add(name)
		}
	}
	return c.last
}

// find returns the tenant of that name, nil if it is not known.
func (c *Client) find(name string) *tenant {
	if name == "" {
		return &c.none
	}
	return c.ctl.tenants.byName[name]
}

// atMax reports whether the client holds all it may.
func (c *Client) atMax() bool { return c.limits.Max > 0 && c.held >= c.limits.Max }

func (c *Client) weight() int64 { return int64(max(1, c.limits.Weight)) }
