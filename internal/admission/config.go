package admission

import (
	"fmt"
	"math"
)

// DefaultHeadroom is the default of Config.Headroom, in permits.
const DefaultHeadroom = 2

// headroomPart limits the headroom to a quarter of the capacity.
const headroomPart = 4

// Config configures [New]. Only Capacity is required.
type Config struct {
	// Capacity is the number of permits, equal to the number of the pool's connections. At least
	// 1.
	Capacity int

	// Headroom is the largest number of permits that stay free for active clients without a
	// permit, and for active tenants of a client without a permit; see the package's
	// documentation. Default 2; negative: none. Never more than a quarter of Capacity.
	Headroom int

	// TenantMaxFraction is the part of Capacity, from 0 to 1, that a tenant may hold at once
	// over all clients, rounded down, but at least one permit. Default 0: no limit.
	// TenantMaxFraction does not limit work without a tenant.
	TenantMaxFraction float64

	// DryRun makes the controller refuse nobody and make nobody wait: the controller only counts
	// the callers that would have waited. After [Controller.Close] every acquire fails in a dry
	// run too.
	DryRun bool
}

// Limits are the limits of a client. The zero value limits nothing.
type Limits struct {
	// Max is the largest number of permits that the client may hold at once. Default 0: no
	// limit.
	Max int

	// Reserve is the number of permits that the client always gets without a wait, whatever the
	// load of further clients, unless the client's tenant is at the tenant's limit. The
	// controller does not lend reserved permits. All reserves together must leave one permit of
	// the capacity; otherwise a client without a reserve would never get a permit. Default 0.
	Reserve int

	// Weight is the client's share when clients compete: a client of weight 2 gets twice the
	// permits of a client of weight 1. Default 1; at most [MaxWeight].
	Weight int
}

// MaxWeight is the largest Limits.Weight of a client.
const MaxWeight = 1 << 20

// InvalidError names an invalid field of a [Config] or of a client's [Limits].
type InvalidError struct {
	Client string // empty for a field of Config
	Field  string // "Capacity", "TenantMaxFraction", "Max", "Reserve" or "Weight"
	Reason string
}

// Error names the field and the client, and says why the value is invalid and how to mend the
// value.
func (e *InvalidError) Error() string {
	if e.Client == "" {
		return fmt.Sprintf("admission: %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("admission: client %q: %s: %s", e.Client, e.Field, e.Reason)
}

func checkCapacity(n, reserved int) error {
	switch {
	case n < 1:
		return &InvalidError{Field: "Capacity", Reason: fmt.Sprintf("%d is too small: must be at least 1", n)}
	case reserved >= n && reserved > 0:
		return &InvalidError{Field: "Capacity", Reason: fmt.Sprintf(
			"clients reserve %d of %d connections: leave one connection without a reserve, by more connections or a lower Reserve", reserved, n)}
	}
	return nil
}

func checkFraction(fraction float64) error {
	if fraction >= 0 && fraction <= 1 { // false for NaN
		return nil
	}
	return &InvalidError{Field: "TenantMaxFraction", Reason: fmt.Sprintf("%v is no fraction: must be from 0 (no limit) to 1", fraction)}
}

// check looks at l alone; the sum of the reserves needs all clients.
func (l Limits) check(client string) error {
	bad := func(field, reason string, args ...any) error {
		return &InvalidError{Client: client, Field: field, Reason: fmt.Sprintf(reason, args...)}
	}
	switch {
	case l.Max < 0:
		return bad("Max", "%d is negative: must be at least 1, or 0 for no limit", l.Max)
	case l.Reserve < 0:
		return bad("Reserve", "%d is negative: must be 0 or more", l.Reserve)
	case l.Weight < 0 || l.Weight > MaxWeight:
		return bad("Weight", "%d is out of range: must be from 1 to %d, or 0 for 1", l.Weight, MaxWeight)
	case l.Max > 0 && l.Max < l.Reserve:
		return bad("Max", "the limit of %d is less than the reserve of %d: raise the limit, or lower the reserve", l.Max, l.Reserve)
	}
	return nil
}

// tenantMax converts a fraction of the capacity into permits; 0 is no limit.
func tenantMax(fraction float64, capacity int) int {
	if fraction == 0 {
		return 0
	}
	// 0.29 of 100 is 28.999999999999996 in binary.
	return max(1, int(math.Floor(fraction*float64(capacity)+1e-9)))
}

// headroom returns the number of permits that stay free of a capacity.
func headroom(wanted, capacity, part int) int {
	if wanted == 0 {
		wanted = DefaultHeadroom
	}
	return max(0, min(wanted, capacity/part))
}
