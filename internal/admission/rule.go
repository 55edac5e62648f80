package admission

// patience is how often the first waiter of a tenant at its limit can be overtaken
// in its client before the tenant's next permit is kept for it. Keeping one at once
// would let a client whose permits come back slowly stop the tenant in the others.
const patience = 8

// A tenant that holds nothing comes before the turns that others of its client got with
// the last headStart waiters and grants: one that floods the client would have every
// second permit else. Older turns stay before it, so that nobody is overtaken for ever.
const headStart = 32

// admit gives c a permit for t if nobody who could have it waits for it. short: there is
// none, and one should have been kept for it.
func (a *Controller) admit(c *Client, t *tenant) (ok, short bool) {
	var k kept
	if c.held > 0 && a.free <= a.unmet+a.headroom {
		k = a.kept(gift{})
	}
	without := a.without(c, t)
	fits := a.fits(c, t.quiet(), k)
	if !fits || a.full(t, nil) || a.next(c, k) != nil {
		if !a.dryRun {
			return false, without && !fits && !c.atMax() && a.expected(c, t)
		}
		c.wouldWait++
		t.wouldWait++
	}
	if without {
		a.asked(true)
	}
	a.overtake(c, turnAt(a.arrivals+1)) // nobody else's turn has come
	a.take(c, t)
	if a.waiting > 0 { // two permits may have been kept, one for c and one for t
		a.dispatch(gift{})
	}
	return true, false
}

// fits reports whether c may hold one more permit; quiet: for a tenant that holds
// nothing. k matters only to a client that holds something.
func (a *Controller) fits(c *Client, quiet bool, k kept) bool {
	switch {
	case a.free <= 0, c.atMax():
		return false
	case c.held < c.limits.Reserve:
		return true
	case c.held == 0:
		return a.free > a.unmet
	case quiet:
		return a.free > a.unmet+k.clients
	default:
		return a.free > a.unmet+k.all
	}
}

// full reports whether t may hold no more through ln; nil is a caller who does not wait
// yet. Its last permit is kept for the one it is owed to, but not against older ones:
// they might be overtaken for ever else.
func (a *Controller) full(t *tenant, ln *lane) bool {
	if a.tenantMax == 0 || t.name == "" {
		return false
	}
	return t.held >= a.tenantMax ||
		t.held == a.tenantMax-1 && t.owed != nil && (ln == nil || t.owed.older(ln))
}

// next returns the lane of the waiter that c's next permit is for, nil if there is
// none that fits and whose tenant may have one.
func (a *Controller) next(c *Client, k kept) *lane {
	if a.fits(c, false, k) {
		return a.front(c)
	}
	if !a.fits(c, true, k) {
		return nil
	}
	for i := len(c.busy) - 1; i >= 0; i-- { // or nobody would count that they are overtaken
		if ln := c.busy[i]; a.full(ln.tenant, ln) {
			c.block(ln)
		}
	}
	return a.frontOf(c, &c.fresh)
}

// front returns the lane of c whose turn it is, of those whose tenant may have a permit.
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
		c.block(ln)
	}
	return nil
}

// gift is a permit that has just come back.
type gift struct {
	from *Client // who had it; nil: none came back
	lend bool    // from somebody who holds nothing now
}

// dispatch gives permits to waiters for as long as one may have one. Whoever gave g counts
// as if it still had it: it would get it back before all others that hold as much, however
// long those have waited.
func (a *Controller) dispatch(g gift) {
	for a.free > 0 && a.waiting > 0 {
		k := a.kept(g)
		var next *lane
		for _, c := range a.clients {
			if c.waiting == 0 {
				continue
			}
			if ln := a.next(c, k); ln != nil && (next == nil || ln.before(next, g)) {
				next = ln
			}
		}
		if next == nil {
			return
		}
		w := next.front()
		a.overtake(next.client, next.turn)
		a.arrivals++
		next.turn = turnAt(a.arrivals) // behind all the others
		a.unqueue(w)
		a.take(next.client, next.tenant)
		w.ready <- struct{}{}
	}
}

// before reports whether the client of ln holds less for its weight than that of
// other, or the same and has waited longer.
func (ln *lane) before(other *lane, g gift) bool {
	c, o := ln.client, other.client
	if mine, theirs := g.load(c)*o.weight(), g.load(o)*c.weight(); mine != theirs {
		return mine < theirs
	}
	return ln.older(other)
}

func (g gift) load(c *Client) int64 {
	if c == g.from {
		return int64(c.held) + 1
	}
	return int64(c.held)
}

// overtake counts that somebody whose turn it is in c is served before those set aside
// whose turn was earlier.
func (a *Controller) overtake(c *Client, turn int64) {
	for _, ln := range c.blocked {
		if ln.turn > turn {
			continue
		}
		t := ln.tenant
		if ln.overtaken++; ln.overtaken >= a.patience && (t.owed == nil || ln.older(t.owed)) {
			t.owed = ln
		}
	}
}

func (a *Controller) take(c *Client, t *tenant) {
	a.free--
	if c.held < c.limits.Reserve {
		a.unmet--
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
		a.unmet++
	}
	t.hold(-1)
	a.used(c, t)
	if a.waiting > 0 {
		a.reopen(t)
		a.dispatch(gift{from: c, lend: c.held == 0 || t.quiet()})
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
		a.dispatch(gift{})
	}
	return w
}

func (a *Controller) unqueue(w *waiter) {
	c, t := w.lane.client, w.lane.tenant
	c.remove(w)
	if t.owed != nil && t.owed.overtaken < a.patience { // it was for w
		t.owe(a.patience)
	}
	a.waiting--
	c.waiting--
	t.waiting--
}

// abandon takes out a waiter that no longer wants its permit. What was kept for it
// may be had by others.
func (a *Controller) abandon(w *waiter) {
	c, t := w.lane.client, w.lane.tenant
	a.unqueue(w)
	a.used(c, t)
	a.reopen(t)
	a.dispatch(gift{})
}

// reopen looks again at the lanes of t that were set aside.
func (a *Controller) reopen(t *tenant) {
	if t.waiting == 0 || t.held >= a.tenantMax {
		return
	}
	for _, ln := range t.lanes {
		if ln != nil && ln.blocked {
			ln.client.unblock(ln)
		}
	}
}

// review looks again at everything after a limit has changed.
func (a *Controller) review() {
	a.headroom = headroom(a.cfg.Headroom, a.cfg.Capacity, a.part)
	a.tenantMax = tenantMax(a.cfg.TenantMaxFraction, a.cfg.Capacity)
	a.unmet = 0
	for _, c := range a.clients {
		a.unmet += max(0, c.limits.Reserve-c.held)
		for len(c.blocked) > 0 {
			c.unblock(c.blocked[0])
		}
	}
	a.dispatch(gift{})
}
