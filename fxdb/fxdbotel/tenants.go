package fxdbotel

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/agentagency/onepool/fxdb"
)

// tenants are the instruments of Config.Tenants. After [fxdb.DB.Stats] has forgotten a tenant, the
// tenant's counters begin anew.
type tenants struct {
	pool              attribute.KeyValue
	count, pending    metric.Int64ObservableUpDownCounter
	acquires, refused metric.Int64ObservableCounter
	wait, use         metric.Float64ObservableCounter
}

func newTenants(meter metric.Meter, pool attribute.KeyValue) (*tenants, error) {
	const prefix = "onepool.tenant.connection."
	var errs [6]error
	t := &tenants{pool: pool}
	t.count, errs[0] = meter.Int64ObservableUpDownCounter(prefix+"count", metric.WithUnit("{connection}"), metric.WithDescription("Connections that the tenant's work holds."))
	t.pending, errs[1] = meter.Int64ObservableUpDownCounter(prefix+"pending_requests", metric.WithUnit("{request}"), metric.WithDescription("Callers with the tenant that wait for a connection."))
	t.acquires, errs[2] = meter.Int64ObservableCounter(prefix+"acquires", metric.WithUnit("{connection}"), metric.WithDescription("Connections that the tenant's work got."))
	t.refused, errs[3] = meter.Int64ObservableCounter(prefix+"refused", metric.WithUnit("{request}"), metric.WithDescription("Waits of the tenant's work that ended without a connection."))
	t.wait, errs[4] = meter.Float64ObservableCounter(prefix+"wait_time", metric.WithUnit("s"), metric.WithDescription("Time that the tenant's work waited for connections."))
	t.use, errs[5] = meter.Float64ObservableCounter(prefix+"use_time", metric.WithUnit("s"), metric.WithDescription("Time that the tenant's work held connections, of holds that are over."))
	return t, errors.Join(errs[:]...)
}

func (t *tenants) instruments() []metric.Observable {
	return []metric.Observable{t.count, t.pending, t.acquires, t.refused, t.wait, t.use}
}

func (t *tenants) observe(o metric.Observer, all []fxdb.TenantStats) {
	for _, s := range all {
		by := metric.WithAttributeSet(attribute.NewSet(t.pool, TenantKey.String(s.Name)))
		o.ObserveInt64(t.count, int64(s.Held), by)
		o.ObserveInt64(t.pending, int64(s.Waiting), by)
		o.ObserveInt64(t.acquires, int64(s.Acquired), by)
		o.ObserveInt64(t.refused, s.Refused, by)
		o.ObserveFloat64(t.wait, s.WaitTotal.Seconds(), by)
		o.ObserveFloat64(t.use, s.HoldTotal.Seconds(), by)
	}
}
