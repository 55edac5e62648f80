package fxdbprom

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module registers the metrics of [fxdb.Module]'s pool with the graph's [prometheus.Registerer].
// Without a Registerer in the graph, Module takes the graph's [*prometheus.Registry], and without
// a Registry [prometheus.DefaultRegisterer].
//
// Module counts from the construction of the pool on, the first connections included. Module
// registers in OnStart: a failed start leaves nothing registered. The metrics stay until the pool
// has drained.
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

// add registers c in OnStart.
func (p params) add(c prometheus.Collector) {
	p.Lifecycle.Append(fx.StartHook(func(context.Context) error {
		_, err := register(p.registerer(), c, p.DB, func() {})
		return err
	}))
}

func run(p params) {
	c := newCollector(p.DB)
	p.DB.AfterClose(c.observe())
	p.add(c)
}
