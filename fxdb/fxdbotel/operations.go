package fxdbotel

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// byClient adds the client to what otelpgx measures of an operation, which knows of
// none.
type byClient struct{ metric.MeterProvider }

// Meter wraps the provider's.
func (p byClient) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return clientMeter{p.MeterProvider.Meter(name, opts...)}
}

type clientMeter struct{ metric.Meter }

// Float64Histogram wraps the meter's.
func (m clientMeter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	h, err := m.Meter.Float64Histogram(name, opts...)
	return clientHistogram{h}, err
}

// Int64Counter wraps the meter's.
func (m clientMeter) Int64Counter(name string, opts ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c, err := m.Meter.Int64Counter(name, opts...)
	return clientCounter{c}, err
}

type clientHistogram struct{ metric.Float64Histogram }

// Record adds the client.
func (h clientHistogram) Record(ctx context.Context, v float64, opts ...metric.RecordOption) {
	if client := clientIn(ctx); client != nil {
		opts = append(slices.Clip(opts), client)
	}
	h.Float64Histogram.Record(ctx, v, opts...)
}

type clientCounter struct{ metric.Int64Counter }

// Add adds the client.
func (c clientCounter) Add(ctx context.Context, n int64, opts ...metric.AddOption) {
	if client := clientIn(ctx); client != nil {
		opts = append(slices.Clip(opts), client)
	}
	c.Int64Counter.Add(ctx, n, opts...)
}

type clientKey struct{}

func withClient(ctx context.Context, client string) context.Context {
	if client == "" {
		return ctx
	}
	option, known := options.Load(client)
	if !known {
		option, _ = options.LoadOrStore(client, metric.WithAttributes(ClientKey.String(client)))
	}
	return context.WithValue(ctx, clientKey{}, option)
}

// options are made once for each client: there are few.
var options sync.Map

func clientIn(ctx context.Context) metric.MeasurementOption {
	client, _ := ctx.Value(clientKey{}).(metric.MeasurementOption)
	return client
}
