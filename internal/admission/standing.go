package admission

// Standing is how a client and one of its tenants stand to what limits them.
type Standing struct {
	Held       int
	Limits     Limits
	TenantHeld int
	TenantMax  int // 0: no limit
	Free       int // permits that nobody holds; see Stats
	Capacity   int
}

// Standing tells why the client's next acquire for tenant would have to wait. It costs
// much less than Stats.
func (c *Client) Standing(tenant string) Standing {
	a := c.ctl
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Standing{Held: c.held, Limits: c.limits, Free: a.free, Capacity: a.cfg.Capacity}
	if t := c.find(tenant); t != nil && tenant != "" {
		s.TenantHeld, s.TenantMax = t.held, a.tenantMax
	}
	return s
}
