package admission

import "fmt"

// promises holds the real thing to what the documentation says, without asking how
// it decides.
func (m *model) promises(before *spec, granted int) error {
	a, held, unusedReserve := m.ctl, 0, 0
	for i, c := range m.clients {
		held += c.held
		unusedReserve += max(0, c.limits.Reserve-c.held)
		if c.limits.Max > 0 && c.held > c.limits.Max && c.held > before.heldBy(i) {
			return fmt.Errorf("c%d got more than its Max", i)
		}
	}
	if granted > 0 && held > a.cfg.Capacity {
		return fmt.Errorf("%d granted, %d held of %d", granted, held, a.cfg.Capacity)
	}
	if m.steady && a.cfg.Capacity-held < unusedReserve {
		return fmt.Errorf("%d permits are left for reserves of %d", a.cfg.Capacity-held, unusedReserve)
	}
	for t := 1; t < len(m.held[0]); t++ {
		if r := a.tenants.byName[tenantName(t)]; r != nil && a.tenantMax > 0 && r.held > a.tenantMax && r.held > before.heldFor(t) {
			return fmt.Errorf("t%d got more than its share", t)
		}
	}
	// Nothing lies idle that somebody waits for and may have: neither now, nor when
	// only time would have to pass.
	for i, w := range m.waiters {
		c := w.lane.client
		free := a.cfg.Capacity - held
		switch {
		case free <= unusedReserve && (c.held >= c.limits.Reserve || free <= 0):
		case c.limits.Max > 0 && c.held >= c.limits.Max:
		case w.lane.tenant.name != "" && a.tenantMax > 0 && w.lane.tenant.held >= a.tenantMax:
		case !m.tenantMay(m.queue[i].t, i): // kept for another
		case c.held > 0 && c.held >= c.limits.Reserve && free <= unusedReserve+m.keptFrom(w, false):
			if free > unusedReserve+m.keptFrom(w, true) && !a.ticking {
				return fmt.Errorf("waiter %d is to wait for a clock that stands still", i)
			}
		default:
			return fmt.Errorf("waiter %d could have one of %d free permits", i, free)
		}
	}
	return nil
}

// keptFrom is the headroom that w may not have; forever: that does not go by with time.
func (m *model) keptFrom(w *waiter, forever bool) int {
	k := m.kept(forever)
	if w.lane.tenant.holdsNone() {
		return k.clients
	}
	return k.all
}

// books compares everything with the spec, and the structures with each other.
func (m *model) books() error {
	a := m.ctl
	if a.free != m.free() || a.unusedReserve != m.unusedReserve() || a.kept(returned{}) != m.kept(false) || a.waiting != len(m.queue) ||
		a.tenantMax != m.tenantMax || a.headroom != m.headroom || a.halves != m.halves {
		return fmt.Errorf("free %d %d, unusedReserve %d %d, kept %v %v, waiting %d %d, tenantMax %d %d, headroom %d %d, halves %d %d", a.free, m.free(),
			a.unusedReserve, m.unusedReserve(), a.kept(returned{}), m.kept(false), a.waiting, len(m.queue), a.tenantMax, m.tenantMax, a.headroom, m.headroom, a.halves, m.halves)
	}
	for i, c := range m.clients {
		if c.held != m.heldBy(i) {
			return fmt.Errorf("c%d holds %d, not %d", i, c.held, m.heldBy(i))
		}
		idle := c.held == 0
		if idle && a.recent(c) != (m.age[i] <= m.activeTicks) {
			return fmt.Errorf("c%d is active: %v", i, a.recent(c))
		}
		if none := m.held[i][0] == 0 && !m.waits(i, 0) && m.partyAge[i] <= m.activeTicks; none != a.recentlyNone(c) {
			return fmt.Errorf("c%d is active without tenants: %v", i, !none)
		}
		if (idle && a.recent(c) || a.recentlyNone(c)) && !a.ticking {
			return fmt.Errorf("c%d would be active for ever", i)
		}
		for _, open := range []lanes{c.busy, c.fresh} {
			for j, ln := range open {
				if ln.index != j || ln.aside || ln.first == nil || j > 0 && open.Less(j, (j-1)/2) {
					return fmt.Errorf("c%d's open lanes are in disorder", i)
				}
			}
		}
		for _, ln := range c.aside {
			if !ln.aside || ln.first == nil || !a.full(ln.tenant, ln) {
				return fmt.Errorf("c%d has set %q aside for nothing", i, ln.tenant.name)
			}
		}
	}
	for t := 1; t < len(m.held[0]); t++ {
		r, waiting := a.tenants.byName[tenantName(t)], 0
		for _, w := range m.queue {
			if w.t == t {
				waiting++
			}
		}
		if r == nil && m.heldFor(t)+waiting == 0 {
			continue
		}
		if r == nil || r.held != m.heldFor(t) || r.waiting != waiting {
			return fmt.Errorf("t%d: %+v", t, r)
		}
		if active := m.heldFor(t)+waiting == 0 && m.partyAge[m.party(0, t)] <= m.activeTicks; active != (r.in == &a.tenants.active) {
			return fmt.Errorf("t%d is active: %v", t, !active)
		} else if active && !a.ticking {
			return fmt.Errorf("t%d would be active for ever", t)
		}
	}
	for i, w := range m.queue {
		r := m.waiters[i]
		if r.lane.client != m.clients[w.c] || r.lane.tenant.name != tenantName(w.t) || !r.queued || r.short != w.short {
			return fmt.Errorf("waiter %d is another", i)
		}
		if m.first(i) && r.lane.overtaken != w.overtaken {
			return fmt.Errorf("waiter %d was overtaken %d times, not %d", i, r.lane.overtaken, w.overtaken)
		}
	}
	return nil
}
