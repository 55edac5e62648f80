package fxdbotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
)

// Config sets the providers of spans and metrics, and the content of spans. The zero Config takes
// the global providers, and records statements without values.
type Config struct {
	TracerProvider trace.TracerProvider // default: the global provider
	MeterProvider  metric.MeterProvider // default: the global provider

	// HideStatements leaves the text of statements out of spans. Without HideStatements the
	// text has a question mark for each string and number.
	HideStatements bool

	// RecordValues records the full text of statements, the parameters, and the full text of
	// errors, with quoted parameters. Parameters are users' data: leave RecordValues off in
	// production.
	RecordValues bool

	// Tenants adds metrics by tenant, for the tenants that hold or wait, and for the 1024 tenants
	// that held or waited last.
	Tenants bool
}

func (c Config) withDefaults() Config {
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	return c
}

// configure takes the providers from the graph.
func configure(p struct {
	fx.In
	TracerProvider trace.TracerProvider `optional:"true"`
	MeterProvider  metric.MeterProvider `optional:"true"`
}) Config {
	return Config{TracerProvider: p.TracerProvider, MeterProvider: p.MeterProvider}
}
