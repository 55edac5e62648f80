package admission

// LimitUsage is the use of the limits that apply to a client and a tenant.
type LimitUsage struct {
	Held       int
	Limits     Limits
	TenantHeld int
	TenantMax  int // 0: no limit
	Free       int // permits that nobody holds; see Stats
	Capacity   int
}

// LimitUsage returns the reasons for which the client's next acquire for tenant would have to
// wait. LimitUsage costs much less than [Controller.Stats].
func (c *Client) LimitUsage(tenant string) LimitUsage {
	a := c.ctl
	a.mu.Lock()
	defer a.mu.Unlock()
	s := LimitUsage{Held: c.held, Limits: c.limits, Free: a.free, Capacity: a.cfg.Capacity}
	if t := c.find(tenant); t != nil && tenant != "" {
		s.TenantHeld, s.TenantMax = t.held, a.tenantMax
	}
	return s
}
