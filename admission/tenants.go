package admission

import "strings"

// keptTenants is how many tenants that hold and want nothing are remembered for
// Stats. The longest idle one is forgotten first.
const keptTenants = 1024

// tenant is what is known of one tenant, over all clients.
type tenant struct {
	name  string
	lanes []*lane // by the client's number; nil where it never waited
	owed  *lane   // of those with an overtaken first waiter the oldest
	tally

	node   node[tenant] // in tenants.recent
	listed bool
	gone   bool // forgotten, though a client may still point here
}

// tenants finds tenants by name. Who holds or waits is known for certain.
type tenants struct {
	none   tenant // work for no tenant
	byName map[string]*tenant
	recent list[tenant] // that were idle at some time, the last one at the end
	count  int          // of recent
}

// find returns the tenant of that name, nil if it is not known.
func (ts *tenants) find(name string) *tenant {
	if name == "" {
		return &ts.none
	}
	return ts.byName[name]
}

// get returns the tenant of that name, a new one if need be.
func (ts *tenants) get(name string) *tenant {
	if t := ts.find(name); t != nil {
		return t
	}
	// The name may be a part of something large.
	t := &tenant{name: strings.Clone(name)}
	t.node.of = t
	ts.byName[t.name] = t
	ts.rest(t)
	return t
}

// rest is called when t may hold nothing and wait for nothing any more.
func (ts *tenants) rest(t *tenant) {
	if t.held+t.waiting > 0 || ts.recent.last == &t.node || t == &ts.none {
		return
	}
	if t.listed {
		ts.unlist(t)
	}
	ts.recent.push(&t.node)
	ts.count++
	t.listed = true
	if ts.count > keptTenants {
		oldest := ts.recent.front()
		ts.unlist(oldest)
		if oldest.held+oldest.waiting == 0 {
			delete(ts.byName, oldest.name)
			oldest.gone = true
		}
	}
}

func (ts *tenants) unlist(t *tenant) {
	ts.recent.remove(&t.node)
	ts.count--
	t.listed = false
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

// owe finds who is owed a permit, after the one that was has left.
func (t *tenant) owe(patience int) {
	t.owed = nil
	for _, ln := range t.lanes {
		if ln != nil && ln.overtaken >= patience && (t.owed == nil || ln.older(t.owed)) {
			t.owed = ln
		}
	}
}
