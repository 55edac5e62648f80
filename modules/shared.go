package modules

import (
	"context"
	"fmt"

	"github.com/agentagency/onepool/tenant"
)

// Rows of all tenants are an operator's to write. Their texts are read by every tenant,
// and a transaction of one tenant that locked them would stop the others.

// Operator returns the context of a write to rows of all tenants: [tenant.System] with
// the reason. A context that has a tenant is an ErrForbidden, so that no tenant's text
// comes before the others.
func Operator(ctx context.Context, reason string) (context.Context, error) {
	if _, scoped := tenant.FromContext(ctx); scoped {
		return nil, fmt.Errorf("%w: %s, and an operator's to write: call with tenant.System", ErrForbidden, reason)
	}
	return tenant.System(ctx, reason), nil
}

// Anybody returns the context of a read of rows of all tenants, and whether a tenant
// reads them: the context's tenant, or the default tenant. Else the context is that of
// [tenant.System] with the reason.
func (db *DB) Anybody(ctx context.Context, reason string) (context.Context, bool) {
	ctx = db.scope(ctx)
	if _, scoped := tenant.FromContext(ctx); scoped {
		return ctx, true
	}
	return tenant.System(ctx, reason), false
}
