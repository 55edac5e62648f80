package admission

import "time"

// The headroom is one permit at first, which is enough for short statements that seldom
// meet. When somebody who holds nothing had to wait for longer than lateAfter it is half a
// permit more, after inTimeInRow in a row who had not it is half a permit less. Where less
// did not do, it takes twice as many the next time, up to inTimeMost: so that few who
// hold nothing wait for long.
const (
	lateAfter   = 5 * time.Millisecond
	inTimeInRow = 128
	inTimeMost  = 8 * inTimeInRow
)

// demand is what those who hold nothing lately needed.
type demand struct {
	halves int  // of permits that the headroom may be, where Config.Headroom allows it; at least 2
	inTime int  // requests in a row that did not wait for long
	enough int  // of these for less headroom
	less   bool // there is less headroom since the last who waited for long
}

// most is how many permits are kept at most at this moment. Half a permit is one that is
// lent: when one comes back from somebody who then holds nothing, anybody may have it,
// as those who just had their turn seldom want the next at once; the one that comes back
// after it, from others, is kept again.
func (a *Controller) most(lend bool) int {
	halves := a.halves
	if !lend {
		halves++
	}
	return min(a.headroom, halves/2)
}

// without reports whether a request of c for t is of somebody who holds nothing, and has
// no reserve to live on.
func (a *Controller) without(c *Client, t *tenant) bool {
	return c.held >= c.limits.Reserve && (c.held == 0 || t.quiet())
}

// expected reports whether one is kept for a request of c for t that is of somebody who
// holds nothing: nobody knew of who was not active.
func (a *Controller) expected(c *Client, t *tenant) bool {
	if c.held == 0 {
		return c.waiting > 0 || a.recent(c)
	}
	return t.waiting > 0 || t.in == &a.tenants.active || t == &c.none && a.recentlyNone(c)
}

// asked notes whether a request of somebody who holds nothing was served in time.
func (a *Controller) asked(inTime bool) {
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
	if a.less || a.halves <= 2 { // it did
		a.enough = a.inTimeInRow
	}
	a.inTime, a.less, a.halves = 0, a.halves > 2, max(2, a.halves-1)
}

// served is asked for a request that has waited.
func (a *Controller) served(inTime bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked(inTime)
	a.dispatch(gift{}) // less may be kept now
}

// kept is the headroom of a moment.
type kept struct {
	clients int // permits that only a client that holds nothing may have
	all     int // the same, and those that only a tenant that holds nothing may have
}

// kept returns the headroom: one permit for each active client that holds nothing and
// has no reserve to live on, and in the other clients one for each active tenant that
// holds nothing. A client that waits for tenants at their limit alone could not take it.
// Who gave g, and waits for another, is served as one that holds something.
func (a *Controller) kept(g gift) kept {
	var k kept
	for _, c := range a.clients {
		switch {
		case c.held < c.limits.Reserve, c.atMax():
		case c.held > 0:
			if k.all += c.active + c.quiet; a.recentlyNone(c) {
				k.all++
			}
		case c == g.from && c.waiting > 0:
		case a.recent(c) || a.front(c) != nil:
			k.clients++
		}
	}
	most := a.most(g.lend)
	k.clients = min(k.clients, most)
	k.all = min(k.clients+k.all, most)
	return k
}
