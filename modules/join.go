package modules

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

type joinKey struct{}

// Join returns a context with which the clients' methods become part of a transaction of
// [fxdb.DB.InTx] or [fxdb.DB.Begin]. The transaction commits or rolls back the work of all
// clients together, on a single connection. ctx must have the tenant with which the transaction
// began, otherwise the methods fail with [fxdb.ErrTenantMismatch]. In a context of
// [tenant.System] the methods still act for the transaction's tenant.
//
// The transaction's statement timeout applies, not the client's. After an error the transaction
// can only roll back: return the error from InTx's function, and InTx retries the whole function
// after a conflict.
func Join(ctx context.Context, tx pgx.Tx) context.Context {
	return context.WithValue(ctx, joinKey{}, tx)
}

// Joined reports whether ctx joins a transaction: the transaction may still roll back the work of
// a call that has succeeded.
func Joined(ctx context.Context) bool {
	tx, _ := ctx.Value(joinKey{}).(pgx.Tx)
	return tx != nil
}

// joined returns the transaction that ctx joins, or nil. joined fails for a context without a
// tenant, because the held connection does not check again.
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
