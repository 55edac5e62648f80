package admission

import "time"

// A client or a tenant is active for activeTicks ticks of the clock after the last use: 400 to
// 500 ms.
const (
	tickEvery   = 100 * time.Millisecond
	activeTicks = 4
)

// used notes that c has just returned a permit for t, or has ended a wait for t. Holders and
// waiters are active without a time, and only the end of a use needs the time. A count of ticks
// is enough: a read of the clock would cost more than the rest of an acquire.
func (a *Controller) used(c *Client, t *tenant) {
	c.seen = a.ticks
	a.tenants.rest(t, c, a.ticks)
	if !a.ticking {
		a.ticking = true
		a.startTimer()
	}
}

// recent reports whether c's last use was in the last few ticks.
func (a *Controller) recent(c *Client) bool { return a.ticks-c.seen <= a.activeTicks }

// recentlyNone reports whether c has no work without a tenant now, and had some in the last few
// ticks.
func (a *Controller) recentlyNone(c *Client) bool {
	return c.none.held+c.none.waiting == 0 && a.ticks-c.none.seen <= a.activeTicks
}

// tick moves the clock on. The timer runs while a client or a tenant is active by the last use
// alone; afterwards time changes no headroom.
func (a *Controller) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.ticks++
	a.tenants.age(a.ticks - a.activeTicks)
	a.dispatch(returned{})
	a.ticking = a.tenants.active.first != nil
	for _, c := range a.clients {
		a.ticking = a.ticking || c.held == 0 && a.recent(c) || a.recentlyNone(c)
	}
	if a.ticking {
		a.startTimer()
	}
}

func (a *Controller) runTimer() {
	if a.timer == nil {
		a.timer = time.AfterFunc(tickEvery, a.tick)
	} else {
		a.timer.Reset(tickEvery)
	}
}
