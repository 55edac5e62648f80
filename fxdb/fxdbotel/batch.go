package fxdbotel

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/internal/sqllex"
)

// statement is the result of the one statement that a batch with a scope is for.
type statement struct {
	tag pgconn.CommandTag
	err error
}

// isScope reports whether sql is what fxdb sends before a statement: the settings
// of the tenant and the client, local to the transaction.
func isScope(sql string) bool { return strings.HasPrefix(sql, "select pg_catalog.set_config('") }

// scoped returns the one statement that the batch is for beside its scope.
func scoped(b *pgx.Batch) *pgx.QueuedQuery {
	if b == nil || len(b.QueuedQueries) != 2 {
		return nil
	}
	first, second := b.QueuedQueries[0], b.QueuedQueries[1]
	switch {
	case isScope(first.SQL):
		return second
	case isScope(second.SQL): // behind the BEGIN of a transaction
		return first
	}
	return nil
}

func (t *tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if q := scoped(data.Batch); q != nil {
		ctx = t.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: q.SQL, Args: q.Arguments})
		operationOf(ctx).only = &statement{}
		return ctx
	}
	ctx, op := t.begin(ctx, conn, "BATCH", func() (string, []attribute.KeyValue) {
		size := 0
		if data.Batch != nil {
			for _, q := range data.Batch.QueuedQueries {
				if !isScope(q.SQL) {
					size++
				}
			}
		}
		return "BATCH", []attribute.KeyValue{semconv.DBOperationBatchSize(size)}
	})
	op.last = op.began
	return ctx
}

func (t *tracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	op := operationOf(ctx)
	if op == nil {
		return
	}
	switch {
	case op.only != nil:
		if !isScope(data.SQL) {
			op.only.tag = data.CommandTag
		}
		if op.only.err == nil {
			op.only.err = data.Err
		}
	case op.span == nil:
	case isScope(data.SQL) && data.Err == nil:
		op.last = time.Now() // it is no statement of the caller's
	default:
		t.child(ctx, op, data)
	}
}

// child is the span of one statement of a batch, from the end of the one before.
func (t *tracer) child(ctx context.Context, op *operation, data pgx.TraceBatchQueryData) {
	summary := sqllex.Summary(data.SQL)
	_, span := t.spans.Start(ctx, nameOf(summary), trace.WithTimestamp(op.last), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(op.attrs...), trace.WithAttributes(described(sqllex.Operation(data.SQL), summary)...),
		trace.WithAttributes(t.text(data.SQL, data.Args)...))
	t.finish(span, data.CommandTag, data.Err)
	op.last = time.Now()
	span.End(trace.WithTimestamp(op.last))
}

func (t *tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	op := operationOf(ctx)
	if op == nil {
		return
	}
	if s := op.only; s != nil {
		if s.err != nil {
			data.Err = s.err
		}
		t.end(ctx, s.tag, data.Err)
		return
	}
	t.end(ctx, pgconn.CommandTag{}, data.Err)
}
