package admission

import "time"

// A client or a tenant is active for activeTicks ticks of the clock after its last use:
// 400 to 500 ms.
const (
	tickEvery   = 100 * time.Millisecond
	activeTicks = 4
)

// used notes that c has just given up a permit for t, or its wait. Whoever holds or
// waits is active anyway, so this is the only moment that needs the time, and a count
// of ticks is time enough: reading the clock costs more than all the rest.
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

// recentlyNone is the same for its work for no tenant, of which there is none now.
func (a *Controller) recentlyNone(c *Client) bool {
	return c.none.held+c.none.waiting == 0 && a.ticks-c.none.seen <= a.activeTicks
}

// tick moves the clock on. It goes on while somebody counts as active by the last use
// alone; when the last one no longer does, there is no headroom that time could change.
func (a *Controller) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.ticks++
	a.tenants.age(a.ticks - a.activeTicks)
	a.dispatch(gift{})
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
