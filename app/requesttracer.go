package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// requestTracer adds the id of the request to the pool's log lines about a statement of the
// request. requestTracer is an [fxdb.LogTracer].
type requestTracer struct{}

func newRequestTracer() pgx.QueryTracer { return requestTracer{} }

// TraceQueryStart does nothing.
func (requestTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (requestTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// LogFields returns the request's id, and nothing outside of a request.
func (requestTracer) LogFields(ctx context.Context) []zap.Field {
	if id := requestIDOf(ctx); id != "" {
		return []zap.Field{zap.String("request_id", id)}
	}
	return nil
}
