package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/internal/txcontext"
	"github.com/agentagency/onepool/tenant"
)

// joined returns the transaction that ctx joins, or nil. joined fails for a context without a
// tenant, because the held connection does not check again.
func joined(ctx context.Context) (pgx.Tx, error) {
	tx := txcontext.FromContext(ctx)
	if tx == nil {
		return nil, nil
	}
	_, scoped := tenant.FromContext(ctx)
	if _, system := tenant.SystemReason(ctx); !scoped && !system {
		return nil, fxdb.ErrTenantRequired
	}
	return tx, nil
}
