package fxdb

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
)

// discreet keeps the identity in scopes that go through pgx from the application's
// tracers: its session is often a token.
type discreet struct{ *multitracer.Tracer }

// holdsIdentity reports whether sql is a scope with an identity in its parameters.
func holdsIdentity(sql string) bool {
	return strings.HasPrefix(sql, "select pg_catalog.set_config('app.current_tenant', $1, true)")
}

func (d discreet) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if holdsIdentity(data.SQL) {
		data.Args = nil
	}
	return d.Tracer.TraceQueryStart(ctx, conn, data)
}

func (d discreet) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if data.Batch != nil {
		for i, q := range data.Batch.QueuedQueries {
			if holdsIdentity(q.SQL) {
				b := *data.Batch
				b.QueuedQueries = slices.Clone(b.QueuedQueries)
				b.QueuedQueries[i] = &pgx.QueuedQuery{SQL: q.SQL}
				data.Batch = &b
			}
		}
	}
	return d.Tracer.TraceBatchStart(ctx, conn, data)
}

func (d discreet) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	if holdsIdentity(data.SQL) {
		data.Args = nil
	}
	d.Tracer.TraceBatchQuery(ctx, conn, data)
}
