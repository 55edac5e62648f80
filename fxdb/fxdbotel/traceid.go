package fxdbotel

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// TraceID returns the trace id of the span in ctx as 32 hexadecimal digits, and an empty string
// without a span. Pass TraceID to [fxdb.TraceID] or [fxdb.WithTraceID]: the server then has the
// trace id of every statement as app.trace_id.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}
