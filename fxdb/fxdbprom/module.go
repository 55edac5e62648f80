package fxdbprom

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module puts the metrics of fxdb.Module's pool into the graph's
// prometheus.Registerer, else its *prometheus.Registry, else
// prometheus.DefaultRegisterer.
//
// It counts from the moment the pool is built, its first connections included,
// and registers in OnStart: fx calls no OnStop for an application whose start
// failed before, and what is registered then stays for ever. OnStop unregisters,
// before the pool drains.
var Module = fx.Module("fxdbprom", fx.Invoke(run))

type params struct {
	fx.In

	Lifecycle  fx.Lifecycle
	DB         *fxdb.DB
	Registerer prometheus.Registerer `optional:"true"`
	Registry   *prometheus.Registry  `optional:"true"`
}

func (p params) registerer() prometheus.Registerer {
	switch {
	case p.Registerer != nil:
		return p.Registerer
	case p.Registry != nil:
		return p.Registry
	}
	return prometheus.DefaultRegisterer
}

func run(p params) {
	reg, c := p.registerer(), newCollector(p.DB)
	stop := c.observe()
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error { return register(reg, c, p.DB) },
		OnStop: func(context.Context) error {
			reg.Unregister(c)
			stop()
			return nil
		},
	})
}
