package fxdbotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module traces and measures fxdb.Module's pool with the graph's
// trace.TracerProvider and metric.MeterProvider, else with the global ones.
// Provide them as these interfaces. Config is a value in the graph: change it
// with fx.Decorate.
//
// It measures from the moment the pool is built, its first connections
// included, and registers in OnStart: fx calls no OnStop for an application
// whose start failed before. OnStop unregisters, before the pool drains.
var Module = fx.Module("fxdbotel",
	fx.Provide(
		configure,
		fx.Annotate(NewTracer, fx.ResultTags(`group:"onepool.tracers"`)),
	),
	fx.Invoke(run),
)

func run(lc fx.Lifecycle, db *fxdb.DB, cfg Config) error {
	p, err := newPoolMetrics(db, cfg)
	if err != nil {
		return err
	}
	silence := p.listen()
	var registration metric.Registration
	lc.Append(fx.Hook{
		OnStart: func(context.Context) (err error) {
			registration, err = p.register()
			return err
		},
		OnStop: func(context.Context) error {
			silence()
			return registration.Unregister()
		},
	})
	return nil
}
