package admission

import (
	"errors"
	"fmt"
	"math"
)

// DefaultHeadroom is how many permits at most are kept for clients and tenants that hold
// none, where Config does not say.
const DefaultHeadroom = 2

// headroomPart makes it at most a quarter of the capacity.
const headroomPart = 4

// Config says what New builds. Only Capacity is required.
type Config struct {
	// Capacity is how many permits there are: as many as the pool has connections.
	// At least 1.
	Capacity int

	// Headroom is how many permits at most are kept free for active clients, and active
	// tenants of one client, that hold none, see the package's documentation. Default 2;
	// negative: none. Never more than a quarter of Capacity.
	Headroom int

	// TenantMaxFraction is the part of Capacity, from 0 to 1, that one tenant may hold at
	// once over all clients, rounded down, but at least one permit. Default 0: no
	// limit. Work without a tenant is not limited by it.
	TenantMaxFraction float64

	// DryRun refuses nobody and lets nobody wait: it only counts who would have waited.
	// Until Close; that fails every acquire as ever.
	DryRun bool
}

// Limits are what one client may have. The zero value limits nothing.
type Limits struct {
	// Max is how many permits the client may hold at once. Default 0: no limit.
	Max int

	// Reserve is how many permits stay reachable for the client: whatever others do, it
	// gets this many without waiting, unless its tenant holds all it may. They are not
	// lent. All reserves together must leave one permit of the capacity, or a client
	// without a reserve would be shut out. Default 0.
	Reserve int

	// Weight is the client's share when clients compete: one of weight 2 gets twice the
	// permits of one of weight 1. Default 1; at most MaxWeight.
	Weight int
}

// MaxWeight is the largest Weight of a client.
const MaxWeight = 1 << 20

// ErrInvalid is what an InvalidError is.
var ErrInvalid = errors.New("invalid admission setting")

// InvalidError names the field of a Config or of a client's Limits that can't be used.
type InvalidError struct {
	Client string // empty for a field of Config
	Field  string // "Capacity", "TenantMaxFraction", "Max", "Reserve" or "Weight"
	Reason string
}

// Error says which field, of which client, why, and what would do.
func (e *InvalidError) Error() string {
	if e.Client == "" {
		return fmt.Sprintf("%v: %s %s", ErrInvalid, e.Field, e.Reason)
	}
	return fmt.Sprintf("%v: %s of client %q %s", ErrInvalid, e.Field, e.Client, e.Reason)
}

// Is reports whether target is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func checkCapacity(n, reserved int) error {
	switch {
	case n < 1:
		return &InvalidError{Field: "Capacity", Reason: fmt.Sprintf("is %d; it must be at least 1", n)}
	case reserved >= n && reserved > 0:
		return &InvalidError{Field: "Capacity", Reason: fmt.Sprintf(
			"is %d and all of it is reserved (%d): one permit must stay for everybody; raise it or lower a Reserve", n, reserved)}
	}
	return nil
}

func checkShare(share float64) error {
	if share >= 0 && share <= 1 { // false for NaN
		return nil
	}
	return &InvalidError{Field: "TenantMaxFraction", Reason: fmt.Sprintf("is %v; it must be from 0 (no limit) to 1", share)}
}

// check looks at l alone; the sum of the reserves needs the other clients.
func (l Limits) check(client string) error {
	bad := func(field, reason string, args ...any) error {
		return &InvalidError{Client: client, Field: field, Reason: fmt.Sprintf(reason, args...)}
	}
	switch {
	case l.Max < 0:
		return bad("Max", "is %d; it must be at least 1, or 0 for no limit", l.Max)
	case l.Reserve < 0:
		return bad("Reserve", "is %d; it must not be negative", l.Reserve)
	case l.Weight < 0 || l.Weight > MaxWeight:
		return bad("Weight", "is %d; it must be from 1 to %d, or 0 for 1", l.Weight, MaxWeight)
	case l.Max > 0 && l.Max < l.Reserve:
		return bad("Max", "is %d, less than its Reserve of %d; raise the one or lower the other", l.Max, l.Reserve)
	}
	return nil
}

// tenantMax is a share in permits; 0 is no limit.
func tenantMax(share float64, capacity int) int {
	if share == 0 {
		return 0
	}
	// 0.29 of 100 is 28.999999999999996 in binary.
	return max(1, int(math.Floor(share*float64(capacity)+1e-9)))
}

// headroom is how many permits are kept of a capacity.
func headroom(wanted, capacity, part int) int {
	if wanted == 0 {
		wanted = DefaultHeadroom
	}
	return max(0, min(wanted, capacity/part))
}
