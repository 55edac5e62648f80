// Package txcontext carries, in a context, the transaction that a caller of the clients joins.
package txcontext

import (
	"context"

	"github.com/jackc/pgx/v5"
)

type key struct{}

// NewContext returns a context that joins tx.
func NewContext(ctx context.Context, tx pgx.Tx) context.Context {
	return context.WithValue(ctx, key{}, tx)
}

// FromContext returns the transaction that ctx joins, or nil. The transaction may still roll back
// the work of a call that has succeeded.
func FromContext(ctx context.Context) pgx.Tx {
	tx, _ := ctx.Value(key{}).(pgx.Tx)
	return tx
}
