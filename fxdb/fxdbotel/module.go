package fxdbotel

import (
	"context"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module traces and measures [fxdb.Module]'s pool with the graph's [trace.TracerProvider] and
// [metric.MeterProvider]. Provide both under the interface types. Module takes the global provider
// for a provider missing in the graph. [Config] is a value in the graph: change the Config with
// [fx.Decorate].
//
// Module measures from the construction of the pool on, the first connections included. Module
// registers in OnStart: a failed start leaves nothing registered. The metrics stay until the pool
// has drained.
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
