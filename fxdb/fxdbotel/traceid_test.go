package fxdbotel_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
)

func TestTheServerHasTheTraceIDOfTheSpan(t *testing.T) {
	t.Parallel()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTraceID(fxdbotel.TraceID))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	ask := func(ctx context.Context) (id string) {
		require.NoError(t, db.QueryRow(ctx, "select coalesce(current_setting('app.trace_id', true), '')").Scan(&id))
		return id
	}
	require.Empty(t, ask(t.Context()))
	for name, sampler := range map[string]sdktrace.Sampler{"recorded": sdktrace.AlwaysSample(), "not recorded": sdktrace.NeverSample()} {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))
		ctx, span := provider.Tracer("test").Start(t.Context(), "request")
		require.Equal(t, trace.SpanContextFromContext(ctx).TraceID().String(), ask(ctx), name)
		span.End()
		require.NoError(t, provider.Shutdown(context.WithoutCancel(t.Context())))
	}
}
