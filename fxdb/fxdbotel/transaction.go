package fxdbotel

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// AttemptKey is the attribute of a transaction's span: the number of the attempt, from 1.
const AttemptKey = attribute.Key("onepool.tx.attempt")

// transaction is an attempt of [fxdb.DB.InTx]. The attempt's statements run with the context of
// the statements' caller: the connection leads from a statement to the transaction's span.
type transaction struct {
	parent trace.SpanContext
	span   trace.Span
	over   atomic.Bool
}

type transactionKey struct{}

const transactionOnConn = scopeName + ".transaction"

// TraceTxStart starts the span of an attempt.
func (t *tracer) TraceTxStart(ctx context.Context, client string, attempt int) context.Context {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx
	}
	tx := &transaction{parent: parent.SpanContext()}
	ctx, tx.span = t.spans.Start(ctx, "transaction", trace.WithAttributes(semconv.DBSystemNamePostgreSQL, AttemptKey.Int(attempt)),
		trace.WithAttributes(whose(ctx, client)...))
	return context.WithValue(ctx, transactionKey{}, tx)
}

// TraceTxEnd ends the span of an attempt.
func (t *tracer) TraceTxEnd(ctx context.Context, err error) {
	tx, _ := ctx.Value(transactionKey{}).(*transaction)
	if tx == nil {
		return
	}
	tx.over.Store(true)
	t.finish(tx.span, pgconn.CommandTag{}, err)
	tx.span.End()
}

// holds notes the transaction of ctx on conn.
func holds(ctx context.Context, conn *pgx.Conn) {
	tx, _ := ctx.Value(transactionKey{}).(*transaction)
	if tx == nil || conn == nil || tx.over.Load() {
		return
	}
	conn.PgConn().CustomData()[transactionOnConn] = tx
	tx.span.SetAttributes(placeOf(ctx, conn).attrs...)
}

// within puts the span of conn's transaction between the spans of a statement and its caller.
func within(ctx context.Context, conn *pgx.Conn) context.Context {
	if conn == nil {
		return ctx
	}
	tx, _ := conn.PgConn().CustomData()[transactionOnConn].(*transaction)
	if tx == nil || tx.over.Load() || !trace.SpanContextFromContext(ctx).Equal(tx.parent) {
		return ctx
	}
	return trace.ContextWithSpan(ctx, tx.span)
}
