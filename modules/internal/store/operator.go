package store

import (
	"context"
	"fmt"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
)

// Only an operator may write rows of all tenants. Every tenant reads the texts of the rows, and
// a tenant's transaction that locks the rows would stop all tenants.

// Operator returns the context of a write to rows of all tenants: [tenant.System] with the
// reason. A context with a tenant is a [modules.ErrForbidden]: no tenant's text may come before all
// tenants.
func Operator(ctx context.Context, reason string) (context.Context, error) {
	if _, scoped := tenant.FromContext(ctx); scoped {
		return nil, fmt.Errorf("%w: %s, and an operator's to write: call with tenant.System", modules.ErrForbidden, reason)
	}
	return tenant.System(ctx, reason), nil //onepoolcheck:allow tenantlost the callers give constant reasons
}

// Anybody returns the context of a read of rows of all tenants, and whether a tenant reads the
// rows: the context's tenant, or the default tenant. Without a tenant the context is
// [tenant.System] with the reason.
func (db *DB) Anybody(ctx context.Context, reason string) (context.Context, bool) {
	ctx = db.scope(ctx)
	if _, scoped := tenant.FromContext(ctx); scoped {
		return ctx, true
	}
	return tenant.System(ctx, reason), false //onepoolcheck:allow tenantlost the callers give constant reasons
}
