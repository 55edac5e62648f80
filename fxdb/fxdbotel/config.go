package fxdbotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
)

// Config says where spans and metrics go and what they hold. The zero value is
// the global providers, and statements without any value.
type Config struct {
	TracerProvider trace.TracerProvider // default: the global one
	MeterProvider  metric.MeterProvider // default: the global one

	// HideStatements leaves the text of statements out of spans. Without HideStatements the
	// text has a question mark for each string and number.
	HideStatements bool

	// RecordValues records the full text of statements, their parameters and the full text of
	// errors, which may quote them. Not for production: they are users' data.
	RecordValues bool

	// Tenants adds metrics by tenant: of those that hold or wait, and of the 1024 that
	// did so last.
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
