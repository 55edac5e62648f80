package fxdbotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/agentagency/onepool/lifecycle"
)

// incidents are the instruments of the events that an operator acts on.
type incidents struct {
	reachable, draining   metric.Int64ObservableGauge
	tooLong               metric.Int64ObservableUpDownCounter
	hold                  metric.Float64ObservableGauge
	resets                metric.Int64ObservableCounter
	nested, slow, retries metric.Int64ObservableCounter
}

func newIncidents(meter metric.Meter) (*incidents, error) {
	var errs [8]error
	i := &incidents{}
	i.reachable, errs[0] = meter.Int64ObservableGauge("onepool.reachable", metric.WithUnit("1"), metric.WithDescription("1 if the server answers, even to a busy pool; otherwise 0."))
	i.draining, errs[1] = meter.Int64ObservableGauge("onepool.draining", metric.WithUnit("1"), metric.WithDescription("1 from the beginning of a stop; otherwise 0."))
	i.tooLong, errs[2] = meter.Int64ObservableUpDownCounter("onepool.client.connection.held_too_long", metric.WithUnit("{connection}"), metric.WithDescription("Connections that the client has held for longer than DB_LEAK_THRESHOLD_MS."))
	i.hold, errs[3] = meter.Float64ObservableGauge("onepool.client.connection.longest_hold", metric.WithUnit("s"), metric.WithDescription("Age of the client's oldest hold."))
	i.resets, errs[4] = meter.Int64ObservableCounter("onepool.resets", metric.WithUnit("{reset}"), metric.WithDescription("Resets of the pool because its server went away or became read-only."))
	i.nested, errs[5] = meter.Int64ObservableCounter("onepool.client.nested_acquires", metric.WithUnit("{acquire}"), metric.WithDescription("Acquires of the client by a goroutine that held a connection already, as far as DB_NESTED_ACQUIRE finds them."))
	i.slow, errs[6] = meter.Int64ObservableCounter("onepool.client.slow_statements", metric.WithUnit("{statement}"), metric.WithDescription("Statements of the client that took longer than DB_SLOW_QUERY_MS."))
	i.retries, errs[7] = meter.Int64ObservableCounter("onepool.client.retries", metric.WithUnit("{attempt}"), metric.WithDescription("Repeated attempts of the client, by the SQLSTATE of the failed attempt."))
	return i, errors.Join(errs[:]...)
}

func (i *incidents) instruments() []metric.Observable {
	return []metric.Observable{i.reachable, i.draining, i.tooLong, i.hold, i.resets, i.nested, i.slow, i.retries}
}

func (i *incidents) observe(ctx context.Context, o metric.Observer, m *lifecycle.Monitor, e *events) {
	by := func(client string, more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(e.attributes(client, more...))
	}
	o.ObserveInt64(i.reachable, oneIf(m.Reachable(ctx)), by(""))
	o.ObserveInt64(i.draining, oneIf(m.Draining()), by(""))
	o.ObserveInt64(i.resets, m.Resets(), by(""))
	tooLong, longest := make(map[string]int64), make(map[string]time.Duration)
	for _, h := range m.Holders() {
		tooLong[h.Client] += oneIf(h.TooLong)
		if !h.Listens {
			longest[h.Client] = max(longest[h.Client], time.Since(h.Since))
		}
	}
	for client, n := range tooLong {
		o.ObserveInt64(i.tooLong, n, by(client))
		o.ObserveFloat64(i.hold, longest[client].Seconds(), by(client))
	}
	for client, of := range m.Incidents() {
		o.ObserveInt64(i.nested, of.Nested, by(client))
		o.ObserveInt64(i.slow, of.Slow, by(client))
		for code, n := range of.Retries {
			if code == "" {
				code = "connection"
			}
			o.ObserveInt64(i.retries, n, by(client, semconv.ErrorTypeKey.String(code)))
		}
	}
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
