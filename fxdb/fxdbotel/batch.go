package fxdbotel

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/internal/sqllex"
)

func (t *tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	ctx, op := t.begin(ctx, conn, "BATCH", func() (string, []attribute.KeyValue) {
		size := 0
		if data.Batch != nil {
			size = len(data.Batch.QueuedQueries)
		}
		return "BATCH", []attribute.KeyValue{semconv.DBOperationBatchSize(size)}
	})
	op.last = op.began
	return ctx
}

func (t *tracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if op := operationOf(ctx); op != nil && op.span != nil {
		t.child(ctx, op, data)
	}
}

// child records the span of a statement in a batch, from the end of the previous statement on.
func (t *tracer) child(ctx context.Context, op *operation, data pgx.TraceBatchQueryData) {
	summary := valid(sqllex.Summary(data.SQL))
	_, span := t.spans.Start(ctx, nameOf(summary), trace.WithTimestamp(op.last), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(op.attrs...), trace.WithAttributes(described(sqllex.Operation(data.SQL), summary)...),
		trace.WithAttributes(t.text(data.SQL, data.Args)...))
	t.finish(span, data.CommandTag, data.Err)
	op.last = time.Now()
	span.End(trace.WithTimestamp(op.last))
}

func (t *tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.end(ctx, pgconn.CommandTag{}, data.Err)
}
