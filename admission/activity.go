package admission

import "time"

// A client is active for activeTicks ticks of the clock after its last use: 400 to
// 500 ms.
const (
	tickEvery   = 100 * time.Millisecond
	activeTicks = 4
)

// used notes that c has just given up a permit or its wait. Whoever holds or waits
// is active anyway, so this is the only moment that needs the time, and a count of
// ticks is time enough: reading the clock costs more than all the rest.
func (a *Controller) used(c *Client) {
	c.seen = a.ticks
	if !a.ticking {
		a.ticking = true
		a.startTimer()
	}
}

// recent reports whether c's last use was in the last few ticks.
func (a *Controller) recent(c *Client) bool { return a.ticks-c.seen <= a.activeTicks }

// tick moves the clock on. It goes on while a client counts as active by its last
// use alone; when the last one no longer does, there is no headroom that time could
// change.
func (a *Controller) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.ticks++
	a.dispatch()
	a.ticking = false
	for _, c := range a.clients {
		a.ticking = a.ticking || c.held == 0 && a.recent(c)
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
