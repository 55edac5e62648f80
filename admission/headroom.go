package admission

// The headroom is one permit at first. After lateInRow requests in a row of somebody
// who holds nothing that found none it is one more; after readyInRow that found one it
// is one less. One permit is enough for short statements that seldom meet; while it
// is not, most requests find it in use.
const (
	lateInRow  = 8
	readyInRow = 32
)

// demand is what those who hold nothing lately needed.
type demand struct {
	level int // permits the headroom may be, where Config.Headroom allows it
	inRow int // requests in a row that found a permit; negative: that did not
}

// most is how many permits are kept at most at this moment.
func (a *Controller) most() int { return min(a.headroom, a.level) }

// without reports whether a request of c for t is of somebody who holds nothing, and has
// no reserve to live on.
func (a *Controller) without(c *Client, t *tenant) bool {
	return c.held >= c.limits.Reserve && (c.held == 0 || t.quiet())
}

// asked notes whether there was a permit for somebody who holds nothing.
func (a *Controller) asked(ready bool) {
	if ready {
		if a.inRow = max(0, a.inRow) + 1; a.inRow >= a.readyInRow {
			a.inRow, a.level = 0, max(1, a.level-1)
		}
		return
	}
	if a.inRow = min(0, a.inRow) - 1; a.inRow <= -a.lateInRow {
		a.inRow, a.level = 0, max(1, min(a.headroom, a.level+1))
	}
}

// kept is the headroom of a moment.
type kept struct {
	clients int // permits that only a client that holds nothing may have
	all     int // the same, and those that only a tenant that holds nothing may have
}

// kept returns the headroom: one permit for each active client that holds nothing and
// has no reserve to live on, and in the other clients one for each active tenant that
// holds nothing. A client that waits for tenants at their limit alone could not take it.
func (a *Controller) kept() kept {
	var k kept
	for _, c := range a.clients {
		switch {
		case c.held < c.limits.Reserve, c.atMax():
		case c.held > 0:
			if k.all += c.active + c.quiet; a.recentlyNone(c) {
				k.all++
			}
		case a.recent(c) || a.front(c) != nil:
			k.clients++
		}
	}
	most := a.most()
	k.clients = min(k.clients, most)
	k.all = min(k.clients+k.all, most)
	return k
}
