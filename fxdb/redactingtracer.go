package fxdb

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/scoped"
)

// redactingTracer calls the application's tracers as pgx calls tracers without a scope. redactingTracer
// hides the scope from the tracers: an identity's session is often a token. An
// application without tracers has a nil redactingTracer.
type redactingTracer struct{ *multitracer.Tracer }

// scopeKey finds the scope's statement in the context of a batch that pgx sends.
type scopeKey struct{}

// hides returns the context of a batch that holds a scope as the statements at. No tracer sees
// the statement: neither the batch's size nor the statements change by a scope.
func (d *redactingTracer) hides(ctx context.Context, b *pgx.Batch, at []int) context.Context {
	if d == nil {
		return ctx
	}
	hidden := make([]*pgx.QueuedQuery, len(at))
	for i, at := range at {
		hidden[i] = b.QueuedQueries[at]
	}
	return context.WithValue(ctx, scopeKey{}, hidden)
}

// instead marks a context whose statements replace a COPY, or whose batch carries a BEGIN.
type instead struct {
	begin string // a BEGIN's text; empty: the tracers know of it already
	ended bool   // pgx 5.13 reports the end of a batch twice if pgx could not send the batch
}

type insteadKey struct{}

func standsFor(ctx context.Context) (_ *instead, ok bool) {
	i, ok := ctx.Value(insteadKey{}).(*instead)
	return i, ok
}

// begins returns the context of a BEGIN that travels with a scope.
func (d *redactingTracer) begins(ctx context.Context, b *pgx.Batch) context.Context {
	if _, other := standsFor(ctx); other || d == nil {
		return ctx
	}
	return context.WithValue(ctx, insteadKey{}, &instead{begin: b.QueuedQueries[0].SQL})
}

// begin starts the trace of a BEGIN that travels with the first statement of a
// transaction. The returned function ends the trace.
func (d *redactingTracer) begin(ctx context.Context, conn *pgx.Conn, sql string) func(error) {
	if d == nil {
		return nil
	}
	ctx = d.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: sql})
	return func(err error) {
		end := pgx.TraceQueryEndData{Err: err}
		if err == nil {
			end.CommandTag = pgconn.NewCommandTag("BEGIN")
		}
		d.TraceQueryEnd(ctx, conn, end)
	}
}

// copies starts the trace of a COPY, and returns the context of the statements that
// replace the COPY. Call end after the statements.
func (d *redactingTracer) copies(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) (_ context.Context, end func(n int64, err error)) {
	if d == nil {
		return ctx, func(int64, error) {}
	}
	ctx = d.TraceCopyFromStart(ctx, conn, data)
	return context.WithValue(ctx, insteadKey{}, &instead{}), func(n int64, err error) {
		data := pgx.TraceCopyFromEndData{Err: err}
		if err == nil {
			data.CommandTag = pgconn.NewCommandTag(fmt.Sprintf("COPY %d", n))
		}
		d.TraceCopyFromEnd(ctx, conn, data)
	}
}

func (d *redactingTracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if _, other := standsFor(ctx); other {
		return ctx
	}
	return d.Tracer.TraceQueryStart(ctx, conn, data)
}

func (d *redactingTracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if _, other := standsFor(ctx); !other {
		d.Tracer.TraceQueryEnd(ctx, conn, data)
	}
}

func (d *redactingTracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	if _, other := standsFor(ctx); other || scoped.IsLocal(ctx) {
		return ctx
	}
	return d.Tracer.TracePrepareStart(ctx, conn, data)
}

func (d *redactingTracer) TracePrepareEnd(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareEndData) {
	if _, other := standsFor(ctx); !other && !scoped.IsLocal(ctx) {
		d.Tracer.TracePrepareEnd(ctx, conn, data)
	}
}

func (d *redactingTracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if i, other := standsFor(ctx); other {
		if i.begin == "" {
			return ctx
		}
		return d.Tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: i.begin})
	}
	if hidden, ok := ctx.Value(scopeKey{}).([]*pgx.QueuedQuery); ok && data.Batch != nil {
		b := *data.Batch
		b.QueuedQueries = slices.DeleteFunc(slices.Clone(b.QueuedQueries), func(q *pgx.QueuedQuery) bool { return slices.Contains(hidden, q) })
		data.Batch = &b
	}
	return d.Tracer.TraceBatchStart(ctx, conn, data)
}

func (d *redactingTracer) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	if _, other := standsFor(ctx); other {
		return
	}
	hidden, _ := ctx.Value(scopeKey{}).([]*pgx.QueuedQuery)
	if slices.ContainsFunc(hidden, func(q *pgx.QueuedQuery) bool { return data.SQL == q.SQL }) {
		return // TraceBatchEnd has the error of the scope
	}
	d.Tracer.TraceBatchQuery(ctx, conn, data)
}

func (d *redactingTracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	i, other := standsFor(ctx)
	switch {
	case !other:
		d.Tracer.TraceBatchEnd(ctx, conn, data)
	case i.begin != "" && !i.ended:
		i.ended = true
		end := pgx.TraceQueryEndData{Err: data.Err}
		if data.Err == nil {
			end.CommandTag = pgconn.NewCommandTag("BEGIN")
		}
		d.Tracer.TraceQueryEnd(ctx, conn, end)
	}
}
