package admission

import "time"

// The headroom is one permit at first, enough for short statements that seldom meet. "Needy"
// below is a request of a client or a tenant that holds nothing. When a needy request waited for
// longer than lateAfter, the headroom grows by half a permit. After inTimeInRow needy requests
// in a row without a long wait, the headroom shrinks by half a permit. If the smaller headroom
// was too small, the controller requires twice as many requests the next time, up to inTimeMost:
// few needy requests wait for long.
const (
	lateAfter   = 5 * time.Millisecond
	inTimeInRow = 128
	inTimeMost  = 8 * inTimeInRow
)

// demand is the recent need of clients and tenants that hold nothing.
type demand struct {
	halves int  // of permits that the headroom may be, if Config.Headroom allows; at least 2
	inTime int  // needy requests in a row without a long wait
	enough int  // value of inTime at which the headroom shrinks
	less   bool // the headroom has shrunk since the last long wait
}

// most returns the largest number of permits to keep at this moment. The controller lends half a
// permit by turns: if last is true, the half is not kept. A permit whose holder then holds nothing may
// go to anybody, because a client or tenant seldom wants the next permit at once. If last is false,
// the controller keeps the next permit that comes back.
func (a *Controller) most(last bool) int {
	halves := a.halves
	if !last {
		halves++
	}
	return min(a.headroom, halves/2)
}

// needy reports whether a request of c for t is needy and c has no reserve left.
func (a *Controller) needy(c *Client, t *tenant) bool {
	return c.held >= c.limits.Reserve && (c.held == 0 || t.holdsNone())
}

// expected reports whether the controller keeps a permit for a needy request of c for t. The
// controller keeps nothing for a client or a tenant that was not active.
func (a *Controller) expected(c *Client, t *tenant) bool {
	if c.held == 0 {
		return c.waiting > 0 || a.recent(c)
	}
	return t.waiting > 0 || t.in == &a.tenants.active || t == &c.none && a.recentlyNone(c)
}

// observe notes whether the controller served a needy request in time.
func (a *Controller) observe(inTime bool) {
	if !inTime {
		if a.less {
			a.enough = min(2*a.enough, a.inTimeMost)
		}
		a.inTime, a.less, a.halves = 0, false, min(a.halves+1, max(2, 2*a.headroom))
		return
	}
	if a.inTime++; a.inTime < a.enough {
		return
	}
	if a.less || a.halves <= 2 { // the smaller headroom was enough
		a.enough = a.inTimeInRow
	}
	a.inTime, a.less, a.halves = 0, a.halves > 2, max(2, a.halves-1)
}

// observeWait notes, after a wait, whether the controller served the request in time.
func (a *Controller) observeWait(inTime bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.observe(inTime)
	a.dispatch(returned{}) // the controller may keep less now
}

// kept is the headroom at a moment.
type kept struct {
	clients int // permits that only a client that holds nothing may have
	all     int // clients, and the permits that only a tenant that holds nothing may have
}

// kept returns the headroom: a permit for each active client that holds nothing and has no
// reserve left, and, in clients that hold permits, a permit for each active tenant that holds
// nothing. A client whose waiters all belong to tenants at the limit could not take the permit.
// A client that returned r and waits again counts as a holder.
func (a *Controller) kept(r returned) kept {
	var k kept
	for _, c := range a.clients {
		switch {
		case c.held < c.limits.Reserve, c.atMax():
		case c.held > 0:
			if k.all += c.active + c.needyTenants; a.recentlyNone(c) {
				k.all++
			}
		case c == r.from && c.waiting > 0:
		case a.recent(c) || a.front(c) != nil:
			k.clients++
		}
	}
	most := a.most(r.last)
	k.clients = min(k.clients, most)
	k.all = min(k.clients+k.all, most)
	return k
}
