package modules

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/txcontext"
)

// Join returns a context with which the clients' methods become part of a transaction of
// [fxdb.DB.InTx] or [fxdb.DB.Begin]. The transaction commits or rolls back the work of all
// clients together, on a single connection. ctx must have the tenant with which the transaction
// began, otherwise the methods fail with [fxdb.ErrTenantMismatch]. In a context of
// [tenant.System] the methods still act for the transaction's tenant.
//
// The transaction's statement timeout applies, not the client's. After an error the transaction
// can only roll back: return the error from InTx's function, and InTx retries the whole function
// after a conflict.
func Join(ctx context.Context, tx pgx.Tx) context.Context { return txcontext.NewContext(ctx, tx) }
