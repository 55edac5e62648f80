package admission

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// Stats is the use of the permits now and since [New].
type Stats struct {
	Capacity  int
	Free      int // permits without a holder; negative after Capacity shrank, and in a dry run
	Waiting   int
	Headroom  int           // permits kept for clients and tenants that hold none
	TenantMax int           // permits that a tenant may hold; 0: no limit
	Clients   []ClientStats // by name
	Tenants   []TenantStats // by name: holders, waiters, the last 1024 idle tenants
}

// ClientStats is the limits and the use of a client.
type ClientStats struct {
	Name   string
	Limits Limits
	Usage
}

// TenantStats is the use of a tenant, over all clients. The totals begin anew after the
// controller has forgotten the tenant.
type TenantStats struct {
	Name string
	Usage
}

// Usage is the use of permits by a client or a tenant, now and in total.
type Usage struct {
	Held, Waiting int
	Granted       int64 // permits taken
	TryFailed     int64 // times that TryAcquire returned false
	WouldWait     int64 // grants of a dry run that the rules do not allow
	Waited        int64 // waits that ended, with a permit or without
	Abandoned     int64 // waits without a permit: end of context, ErrTimeout, Close
	WaitTotal     time.Duration
	WaitMax       time.Duration
	HoldTotal     time.Duration // as reported to Release
	HoldMax       time.Duration
}

// Stats returns the figures of this moment.
func (a *Controller) Stats() Stats {
	a.mu.Lock()
	s := Stats{
		Capacity: a.cfg.Capacity, Free: a.free, Waiting: a.waiting, Headroom: a.kept(returned{}).all, TenantMax: a.tenantMax,
		Clients: make([]ClientStats, 0, len(a.clients)), Tenants: make([]TenantStats, 0, len(a.tenants.byName)),
	}
	for _, c := range a.clients {
		s.Clients = append(s.Clients, ClientStats{c.name, c.limits, c.usage()})
	}
	for _, t := range a.tenants.byName {
		s.Tenants = append(s.Tenants, TenantStats{t.name, t.usage()})
	}
	a.mu.Unlock()
	slices.SortFunc(s.Clients, func(x, y ClientStats) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(s.Tenants, func(x, y TenantStats) int { return cmp.Compare(x.Name, y.Name) })
	return s
}

// tally counts for a client or a tenant. The controller's mutex guards all fields except waits.
type tally struct {
	held, waiting                 int
	granted, tryFailed, wouldWait int64
	holds                         holds
	waits                         waits
}

func (t *tally) usage() Usage {
	return Usage{
		Held: t.held, Waiting: t.waiting,
		Granted: t.granted, TryFailed: t.tryFailed, WouldWait: t.wouldWait,
		Waited: t.waits.n.Load(), Abandoned: t.waits.gaveUp.Load(),
		WaitTotal: time.Duration(t.waits.total.Load()), WaitMax: time.Duration(t.waits.longest.Load()),
		HoldTotal: t.holds.total, HoldMax: t.holds.longest,
	}
}

type holds struct{ total, longest time.Duration }

func (h *holds) add(d time.Duration) {
	h.total += d
	h.longest = max(h.longest, d)
}

// waits counts waits. The waiting callers count, after the wait and without the mutex.
type waits struct{ n, gaveUp, total, longest atomic.Int64 }

func (w *waits) add(d time.Duration, err error) {
	w.n.Add(1)
	if err != nil {
		w.gaveUp.Add(1)
	}
	w.total.Add(int64(d))
	for {
		longest := w.longest.Load()
		if int64(d) <= longest || w.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}
