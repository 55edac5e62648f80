package orchestrator

import "sync"

// roomy holds the tenants whose queues are far from the capacity, as the last call under the
// tenant's lock found. A wrong entry costs a round trip: the server judges each enqueue anew.
type roomy struct {
	mu      sync.Mutex
	tenants map[string]struct{}
}

func (r *roomy) has(tenant string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.tenants[tenant]
	return ok
}

func (r *roomy) set(tenant string, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !yes {
		delete(r.tenants, tenant)
		return
	}
	if r.tenants == nil || len(r.tenants) >= mostTenants {
		r.tenants = make(map[string]struct{})
	}
	r.tenants[tenant] = struct{}{}
}
