package lifecycle

import (
	"fmt"

	"github.com/agentagency/onepool/admission"
)

// barrier is which limit of admission's keeps somebody from a permit.
type barrier int

const (
	noLimit barrier = iota // the pool itself is full
	clientLimit
	tenantLimit
	keptForOthers
)

func barrierOf(s admission.Standing) barrier {
	switch {
	case s.Limits.Max > 0 && s.Held >= s.Limits.Max:
		return clientLimit
	case s.TenantMax > 0 && s.TenantHeld >= s.TenantMax:
		return tenantLimit
	case s.Free > 0:
		return keptForOthers
	}
	return noLimit
}

// limit says which limit kept a from its permit, and what to do. It is empty where the
// pool itself was full.
func (a *acquisition) limit() string {
	switch s := a.standing; barrierOf(s) {
	case clientLimit:
		return fmt.Sprintf("the MaxShare of client %q, %d, is in use: raise it, or shorten the work", a.request.Client, s.Limits.Max)
	case tenantLimit:
		return fmt.Sprintf("tenant %q holds all %d connections that one tenant may: raise DB_TENANT_MAX_SHARE, or shorten its work", a.request.Tenant, s.TenantMax)
	case keptForOthers:
		return fmt.Sprintf("%d of %d connections are free, but kept for clients with a Reserve, for those that hold none or for an earlier waiter: lower the Reserve, or shorten the work", s.Free, s.Capacity)
	}
	return ""
}
