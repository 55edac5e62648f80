package fxdbprom

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// TenantsModule registers the metrics by tenant, as [Module] registers the metrics of the pool.
// TenantsModule is separate because each tenant has six series. A tenant has series if the tenant
// holds or waits, or is among the 1024 tenants that held or waited last.
var TenantsModule = fx.Module("fxdbprom/tenants", fx.Invoke(func(p params) { p.add(newTenants(p.DB)) }))

// RegisterTenants registers the metrics by tenant, as [Register] registers the metrics of the
// pool. [TenantsModule] describes the metrics.
func RegisterTenants(reg prometheus.Registerer, db *fxdb.DB) (unregister func(), err error) {
	return register(reg, newTenants(db), db, func() {})
}

// tenants reads the figures by tenant at a scrape. After [fxdb.DB.Stats] has forgotten a tenant,
// the tenant's counters begin anew.
type tenants struct {
	db                                           *fxdb.DB
	held, waiting, acquired, refused, wait, hold *prometheus.Desc
}

func newTenants(db *fxdb.DB) *tenants {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_tenant_"+name, help, []string{"tenant"}, prometheus.Labels{"pool": poolName(db)})
	}
	return &tenants{
		db:       db,
		held:     desc("connections_held", "Connections that the tenant's work holds."),
		waiting:  desc("acquires_waiting", "Callers with the tenant that wait for a connection."),
		acquired: desc("acquires_total", "Connections that the tenant's work got."),
		refused:  desc("acquires_refused_total", "Waits of the tenant's work that ended without a connection."),
		wait:     desc("acquire_wait_seconds_total", "Time that the tenant's work waited for connections."),
		hold:     desc("connection_hold_seconds_total", "Time that the tenant's work held connections, of holds that are over."),
	}
}

// Describe sends all descriptions.
func (c *tenants) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.held, c.waiting, c.acquired, c.refused, c.wait, c.hold} {
		ch <- d
	}
}

// Collect sends the figures of each tenant, without a round trip to the server.
func (c *tenants) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.db.Stats().Tenants {
		for _, m := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value float64
		}{
			{c.held, prometheus.GaugeValue, float64(t.Held)},
			{c.waiting, prometheus.GaugeValue, float64(t.Waiting)},
			{c.acquired, prometheus.CounterValue, float64(t.Acquired)},
			{c.refused, prometheus.CounterValue, float64(t.Refused)},
			{c.wait, prometheus.CounterValue, t.WaitTotal.Seconds()},
			{c.hold, prometheus.CounterValue, t.HoldTotal.Seconds()},
		} {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value, t.Name)
		}
	}
}
