package fxdbotel_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
)

// BenchmarkExec shows the cost of tracing and metrics for a statement: without both, beneath an
// unrecorded span, and beneath a recorded span.
func BenchmarkExec(b *testing.B) {
	provider := sdktrace.NewTracerProvider()
	defer func() { require.NoError(b, provider.Shutdown(context.Background())) }()
	cfg := fxdbotel.Config{TracerProvider: provider, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))}
	recorded, span := provider.Tracer("test").Start(b.Context(), "request")
	defer span.End()
	for _, way := range []struct {
		name string
		ctx  context.Context
		opts []fxdb.Option
	}{
		{"without", b.Context(), nil},
		{"unrecorded", b.Context(), []fxdb.Option{fxdb.WithTracer(fxdbotel.NewTracer(cfg))}},
		{"recorded", recorded, []fxdb.Option{fxdb.WithTracer(fxdbotel.NewTracer(cfg))}},
	} {
		db, err := fxdb.Open(b.Context(), fxdb.Config{URL: urlOf(b), PoolMax: 2}, way.opts...)
		require.NoError(b, err)
		if way.opts != nil {
			stop, err := fxdbotel.Observe(db, cfg)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, stop()) })
		}
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.Exec(way.ctx, "select 1"); err != nil {
					b.Fatal(err)
				}
			}
		})
		require.NoError(b, db.Close(context.Background()))
	}
}
