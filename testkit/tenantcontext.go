package testkit

import (
	"context"
	"testing"

	"github.com/agentagency/onepool/tenant"
)

// As returns the test's context with the tenant's identity: statements of the context run as the
// tenant. The context ends just before the test's cleanups. As fails the test for a name that is
// no tenant's.
func As(t testing.TB, name string) context.Context {
	t.Helper()
	id := tenant.Identity{Tenant: name}
	if err := id.Validate(); err != nil {
		t.Fatalf("testkit: As: %v", err)
	}
	return tenant.NewContext(t.Context(), id)
}
