package admission

import "strings"

// keptTenants is the number of idle tenants that the controller remembers for Stats. The
// controller forgets the tenant with the longest idle time first.
const keptTenants = 1024

// tenant is the state of a tenant, over all clients. Each client's work without a tenant counts
// as a tenant of the client alone, without a name and without a limit.
type tenant struct {
	name    string
	lanes   []*lane // by the client's number; nil if the tenant never waited in the client
	starved *lane   // the oldest lane whose first waiter was overtaken too often
	tally

	seen int64   // tick of the last use
	last *Client // of the last use

	// For a tenant with a name that is idle: neither holds nor wants a permit.
	node node[tenant]  // in a list of tenants
	in   *list[tenant] // the list of node; nil: not idle
	gone bool          // forgotten, though a client may still point here
}

// tenants finds tenants by name. Every holder and every waiter is in byName.
type tenants struct {
	byName map[string]*tenant

	// Idle tenants, the last used at the end.
	active list[tenant] // used in the last few ticks
	idle   list[tenant] // not used in the last few ticks
	count  int          // of both lists
}

// add returns a new tenant with the given name.
func (ts *tenants) add(name string) *tenant {
	// The name may be a part of something large.
	t := &tenant{name: strings.Clone(name)}
	t.node.of = t
	ts.byName[t.name] = t
	return t
}

// rest is called after a use of t by c, when t may be idle.
func (ts *tenants) rest(t *tenant, c *Client, tick int64) {
	if t.held+t.waiting > 0 {
		return
	}
	ts.wake(t)
	if t.seen, t.last = tick, c; t.name == "" {
		return
	}
	ts.list(t, &ts.active)
	c.active++
	if ts.count > keptTenants {
		oldest := ts.idle.front()
		if oldest == nil {
			oldest = ts.active.front()
		}
		ts.wake(oldest)
		delete(ts.byName, oldest.name)
		oldest.gone = true
	}
}

// wake is called when t is no longer idle, and reports whether it was active.
func (ts *tenants) wake(t *tenant) (active bool) {
	if t.in == nil {
		return false
	}
	if active = t.in == &ts.active; active {
		t.last.active--
	}
	t.in.remove(&t.node)
	t.in = nil
	ts.count--
	return active
}

// age moves the tenants without a use since a tick from active to idle.
func (ts *tenants) age(since int64) {
	for t := ts.active.front(); t != nil && t.seen < since; t = ts.active.front() {
		ts.wake(t)
		ts.list(t, &ts.idle)
	}
}

func (ts *tenants) list(t *tenant, to *list[tenant]) {
	to.push(&t.node)
	t.in = to
	ts.count++
}

func (t *tenant) holdsNone() bool { return t.held == 0 }

// hold adds n, 1 or -1, to the permits of t. The tenant's lanes are fresh while the tenant holds
// nothing, and busy otherwise.
func (t *tenant) hold(n int) {
	if t.waiting == 0 || t.held > 0 && t.held+n > 0 {
		t.held += n
		return
	}
	for _, ln := range t.lanes {
		if ln != nil && ln.first != nil {
			ln.client.out(ln)
		}
	}
	t.held += n
	for _, ln := range t.lanes {
		if ln != nil && ln.first != nil {
			ln.client.in(ln)
		}
	}
}

// lane returns the tenant's lane in c.
func (t *tenant) lane(c *Client) *lane {
	for len(t.lanes) <= c.number {
		t.lanes = append(t.lanes, nil)
	}
	if t.lanes[c.number] == nil {
		t.lanes[c.number] = &lane{client: c, tenant: t}
	}
	return t.lanes[c.number]
}

// findStarved finds the lane for which the controller keeps a permit, after the previous starved
// waiter has left.
func (t *tenant) findStarved(patience int) {
	t.starved = nil
	for _, ln := range t.lanes {
		if ln != nil && ln.overtaken >= patience && (t.starved == nil || ln.older(t.starved)) {
			t.starved = ln
		}
	}
}
