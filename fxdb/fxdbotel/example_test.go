package fxdbotel_test

import (
	"context"
	"fmt"
	"log"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	spans := tracetest.NewInMemoryExporter() // in production: an exporter to a collector
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	var db *fxdb.DB
	app := fx.New(fx.NopLogger,
		fxdb.Module,
		devdb.Module,
		fxdbotel.Module,
		// Without a provider in the graph, Module takes the global provider.
		fx.Supply(fx.Annotate(provider, fx.As(new(trace.TracerProvider)))),
		fx.Populate(&db),
	)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	request, span := provider.Tracer("shop").Start(ctx, "GET /orders")
	request = tenant.NewContext(request, tenant.Identity{Tenant: "acme"})
	if _, err := db.Exec(request, "values ($1::text)", "not recorded"); err != nil {
		log.Fatal(err)
	}
	span.End()
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == fxdbotel.TenantKey && s.Name == "VALUES" {
				fmt.Println(s.Name, a.Value.AsString())
			}
		}
	}
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: VALUES acme
}
