package lifecycle

import "fmt"

// limitNow names the limit of admission that keeps a from its permit at this moment. limitNow
// returns "" if the pool itself is full, or a has its permit.
func (a *acquisition) limitNow() string {
	if a.request.Permits == nil || a.permit {
		return ""
	}
	switch s := a.request.Permits.LimitUsage(a.request.Tenant); {
	case s.Limits.Max > 0 && s.Held >= s.Limits.Max:
		return fmt.Sprintf("the MaxConns of client %q, %d, is in use: raise MaxConns, or shorten the work", a.request.Client, s.Limits.Max)
	case s.TenantMax > 0 && s.TenantHeld >= s.TenantMax:
		return fmt.Sprintf("tenant %q holds all %d connections of one tenant: raise %s, or shorten the tenant's work", a.request.Tenant, s.TenantMax, a.m.settings().name("TenantMaxFraction"))
	case s.Free > 0:
		return fmt.Sprintf("%d of %d connections are free, but kept for clients with a Reserve, for clients without a connection or for an earlier waiter: lower the Reserve, or shorten the work", s.Free, s.Capacity)
	}
	return ""
}
