package admission

// patience is how often waiters of a client can overtake the first waiter of a tenant at the
// tenant's limit before the controller keeps the tenant's next permit for the first waiter. If
// the controller kept a permit at once, a client with slow releases would stop the tenant in all
// clients.
const patience = 8

// headStart puts a tenant that holds nothing before the turns that the client's tenants got with
// the last headStart waiters and grants. Otherwise a tenant that floods the client would have
// every second permit. Older turns stay first: nobody is overtaken for ever.
const headStart = 32

// admit gives c a permit for t if no entitled waiter is in the queue. short: no permit was free,
// and the controller should have kept a permit for the request.
func (a *Controller) admit(c *Client, t *tenant) (ok, short bool) {
	if a.waiting == 0 && a.free > a.unusedReserve+a.headroom &&
		(c.limits.Max <= 0 || c.held < c.limits.Max) && (a.tenantMax == 0 || t.held < a.tenantMax-1 || t.name == "") {
		// A free permit: all limits and the whole headroom leave the permit to anybody.
		if c.held >= c.limits.Reserve && (c.held == 0 || t.held == 0) { // needy
			a.observe(true)
		}
		a.take(c, t)
		return true, false
	}
	var k kept
	if c.held > 0 && a.free <= a.unusedReserve+a.headroom {
		k = a.kept(returned{})
	}
	needy := a.needy(c, t)
	fits := a.fits(c, t.holdsNone(), k)
	if !fits || a.full(t, nil) || a.waiting > 0 && a.next(c, k) != nil {
		if !a.dryRun {
			return false, needy && !fits && !c.atMax() && a.expected(c, t)
		}
		c.wouldWait++
		t.wouldWait++
	}
	if needy {
		a.observe(true)
	}
	if a.waiting == 0 {
		a.take(c, t)
		return true, false
	}
	a.overtake(c, turnAt(a.arrivals+1)) // the turn of no other lane has come
	a.take(c, t)
	a.dispatch(returned{}) // two permits may have been kept, one for c and one for t
	return true, false
}

// fits reports whether c may hold another permit; holdsNone: for a tenant that holds nothing. k
// matters only if the client holds something.
func (a *Controller) fits(c *Client, holdsNone bool, k kept) bool {
	switch {
	case a.free <= 0, c.atMax():
		return false
	case c.held < c.limits.Reserve:
		return true
	case c.held == 0:
		return a.free > a.unusedReserve
	case holdsNone:
		return a.free > a.unusedReserve+k.clients
	default:
		return a.free > a.unusedReserve+k.all
	}
}

// full reports whether t may hold no more permits through ln; nil is a caller without a place in
// the queue. The controller keeps t's last permit for the starved waiter, but not against older
// waiters: otherwise older waiters could be overtaken for ever.
func (a *Controller) full(t *tenant, ln *lane) bool {
	if a.tenantMax == 0 || t.name == "" {
		return false
	}
	return t.held >= a.tenantMax ||
		t.held == a.tenantMax-1 && t.starved != nil && (ln == nil || t.starved.older(ln))
}

// next returns the lane of the waiter for c's next permit, nil if no permit fits a waiter whose
// tenant may have a permit.
func (a *Controller) next(c *Client, k kept) *lane {
	if a.fits(c, false, k) {
		return a.front(c)
	}
	if !a.fits(c, true, k) {
		return nil
	}
	for i := len(c.busy) - 1; i >= 0; i-- { // or overtake would not count the busy lanes
		if ln := c.busy[i]; a.full(ln.tenant, ln) {
			c.setAside(ln)
		}
	}
	return a.frontOf(c, &c.fresh)
}

// front returns the lane of c whose turn comes first, among tenants that may have a permit.
func (a *Controller) front(c *Client) *lane {
	busy, fresh := a.frontOf(c, &c.busy), a.frontOf(c, &c.fresh)
	if busy == nil || fresh != nil && fresh.turn < busy.turn {
		return fresh
	}
	return busy
}

func (a *Controller) frontOf(c *Client, open *lanes) *lane {
	for len(*open) > 0 {
		ln := (*open)[0]
		if !a.full(ln.tenant, ln) {
			return ln
		}
		c.setAside(ln)
	}
	return nil
}

// returned is a permit that has just come back.
type returned struct {
	from *Client // former holder; nil: no permit came back
	last bool    // the former holder holds nothing now
}

// dispatch gives permits to waiters as long as a waiter may have a permit. The client that returned
// r counts as the permit's holder. Otherwise the client would get the permit back before all
// clients that hold as much, no matter how long the callers of these clients have waited.
func (a *Controller) dispatch(r returned) {
	for a.free > 0 && a.waiting > 0 {
		k := a.kept(r)
		var next *lane
		for _, c := range a.clients {
			if c.waiting == 0 {
				continue
			}
			if ln := a.next(c, k); ln != nil && (next == nil || ln.before(next, r)) {
				next = ln
			}
		}
		if next == nil {
			return
		}
		w := next.front()
		a.overtake(next.client, next.turn)
		a.arrivals++
		next.turn = turnAt(a.arrivals) // after all lanes
		a.unqueue(w)
		a.take(next.client, next.tenant)
		w.ready <- struct{}{}
	}
}

// before reports whether the client of ln holds less for its weight than the client of other,
// or, if both hold the same, whether the waiter of ln has waited longer.
func (ln *lane) before(other *lane, r returned) bool {
	c, o := ln.client, other.client
	if mine, theirs := r.load(c)*o.weight(), r.load(o)*c.weight(); mine != theirs {
		return mine < theirs
	}
	return ln.older(other)
}

func (r returned) load(c *Client) int64 {
	if c == r.from {
		return int64(c.held) + 1
	}
	return int64(c.held)
}

// overtake counts a grant with the given turn in c against the lanes set aside with an earlier
// turn.
func (a *Controller) overtake(c *Client, turn int64) {
	for _, ln := range c.aside {
		if ln.turn > turn {
			continue
		}
		t := ln.tenant
		if ln.overtaken++; ln.overtaken >= a.patience && (t.starved == nil || ln.older(t.starved)) {
			t.starved = ln
		}
	}
}

func (a *Controller) take(c *Client, t *tenant) {
	a.free--
	if c.held < c.limits.Reserve {
		a.unusedReserve--
	}
	c.held++
	c.granted++
	a.tenants.wake(t)
	t.hold(1)
	t.granted++
}

func (a *Controller) give(c *Client, t *tenant) {
	a.free++
	c.held--
	if c.held < c.limits.Reserve {
		a.unusedReserve++
	}
	t.hold(-1)
	a.used(c, t)
	if a.waiting > 0 {
		a.reopen(t)
		a.dispatch(returned{from: c, last: c.held == 0 || t.holdsNone()})
	}
}

func (a *Controller) enqueue(c *Client, t *tenant, short bool) *waiter {
	w := a.waiters.Get().(*waiter)
	a.arrivals++
	w.seq, w.lane, w.short, w.err = a.arrivals, t.lane(c), short, nil
	active := a.tenants.wake(t)
	a.waiting++
	c.waiting++
	t.waiting++
	c.add(w)
	if active && a.waiting > 1 { // a permit may have been kept for t in another client
		a.dispatch(returned{})
	}
	return w
}

func (a *Controller) unqueue(w *waiter) {
	c, t := w.lane.client, w.lane.tenant
	c.remove(w)
	if t.starved != nil && t.starved.overtaken < a.patience { // w was the starved waiter
		t.findStarved(a.patience)
	}
	a.waiting--
	c.waiting--
	t.waiting--
}

// abandon takes out a waiter that no longer wants a permit. Further waiters may have the permit
// that the controller kept for w.
func (a *Controller) abandon(w *waiter) {
	c, t := w.lane.client, w.lane.tenant
	a.unqueue(w)
	a.used(c, t)
	a.reopen(t)
	a.dispatch(returned{})
}

// reopen puts back the lanes of t if t may have another permit.
func (a *Controller) reopen(t *tenant) {
	if t.waiting == 0 || t.held >= a.tenantMax {
		return
	}
	for _, ln := range t.lanes {
		if ln != nil && ln.aside {
			ln.client.putBack(ln)
		}
	}
}

// review applies a changed limit.
func (a *Controller) review() {
	a.headroom = headroom(a.cfg.Headroom, a.cfg.Capacity, a.part)
	a.tenantMax = tenantMax(a.cfg.TenantMaxFraction, a.cfg.Capacity)
	a.unusedReserve = 0
	for _, c := range a.clients {
		a.unusedReserve += max(0, c.limits.Reserve-c.held)
		for len(c.aside) > 0 {
			c.putBack(c.aside[0])
		}
	}
	a.dispatch(returned{})
}
