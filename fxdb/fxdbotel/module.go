package fxdbotel

import (
	"context"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module traces and measures fxdb.Module's pool with the graph's
// trace.TracerProvider and metric.MeterProvider, else with the global ones.
// Provide them as these interfaces. Config is a value in the graph: change it
// with fx.Decorate.
//
// It measures from the moment the pool is built, its first connections
// included, and registers in OnStart, so that a failed start leaves nothing registered. The
// metrics stay until the pool has drained.
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
	db.AfterClose(p.listen())
	lc.Append(fx.StartHook(func(context.Context) error {
		_, err := p.register(func() {})
		return err
	}))
	return nil
}
