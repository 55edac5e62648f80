package fxdbprom_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
)

func Example() {
	reg := prometheus.NewRegistry() // default: prometheus.DefaultRegisterer
	app := fx.New(fx.NopLogger,
		fxdb.Module,
		devdb.Module,
		fxdbprom.Module,
		fx.Supply(fx.Annotate(reg, fx.As(new(prometheus.Registerer)))),
	)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	families, err := reg.Gather() // promhttp.HandlerFor(reg, …) serves the metrics
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "onepool_connections_max" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	families, _ = reg.Gather()
	fmt.Println(len(families), "metrics are left")
	// Output:
	// onepool_connections_max 20
	// 0 metrics are left
}
