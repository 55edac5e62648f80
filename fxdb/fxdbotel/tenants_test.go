package fxdbotel_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/testkit"
)

func TestTenantsHaveFiguresOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reader, provider := measured()
	stop, err := fxdbotel.Observe(db, fxdbotel.Config{MeterProvider: provider, Tenants: true})
	require.NoError(t, err)
	acme := as(t.Context(), "acme")
	_, err = db.Exec(acme, "select pg_sleep(0.3)")
	require.NoError(t, err)
	tx, err := db.Begin(acme)
	require.NoError(t, err)

	figures := make(map[string]float64)
	collect := func() {
		clear(figures)
		var rm metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &rm))
		for _, scope := range rm.ScopeMetrics {
			for _, m := range scope.Metrics {
				switch data := m.Data.(type) {
				case metricdata.Sum[int64]:
					for _, p := range data.DataPoints {
						if name, ok := p.Attributes.Value(fxdbotel.TenantKey); ok {
							figures[name.AsString()+" "+m.Name] = float64(p.Value)
						}
					}
				case metricdata.Sum[float64]:
					for _, p := range data.DataPoints {
						if name, ok := p.Attributes.Value(fxdbotel.TenantKey); ok {
							figures[name.AsString()+" "+m.Name] = p.Value
						}
					}
				}
			}
		}
	}
	collect()
	require.Positive(t, figures["acme onepool.tenant.connection.use_time"])
	delete(figures, "acme onepool.tenant.connection.use_time")
	require.Equal(t, map[string]float64{
		"acme onepool.tenant.connection.count":            1,
		"acme onepool.tenant.connection.pending_requests": 0,
		"acme onepool.tenant.connection.acquires":         2,
		"acme onepool.tenant.connection.refused":          0,
		"acme onepool.tenant.connection.wait_time":        0,
	}, figures)
	require.NoError(t, tx.Rollback(acme))
	require.NoError(t, stop())
	collect()
	require.Empty(t, figures)
}
