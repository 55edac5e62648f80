package modules

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

type joinKey struct{}

// Join returns a context with which the clients' methods become part of a
// transaction of fxdb.DB's InTx or Begin: what several clients do is kept or undone
// together, on the one connection that the transaction has. ctx has the tenant that
// the transaction began with, else they fail with fxdb.ErrTenantMismatch; tenant.System
// does not take it out of that.
//
// The client's own statement timeout is not that of the transaction. After an error
// the transaction can only be rolled back: return it from InTx's function, which
// tries the whole again where others were in the way.
func Join(ctx context.Context, tx pgx.Tx) context.Context {
	return context.WithValue(ctx, joinKey{}, tx)
}

// joined returns the transaction that ctx joins, or nil. It fails for a context
// without a tenant: the connection that is held asks no more.
func joined(ctx context.Context) (pgx.Tx, error) {
	tx, _ := ctx.Value(joinKey{}).(pgx.Tx)
	if tx == nil {
		return nil, nil
	}
	_, scoped := tenant.FromContext(ctx)
	if _, system := tenant.SystemReason(ctx); !scoped && !system {
		return nil, fxdb.ErrTenantRequired
	}
	return tx, nil
}
