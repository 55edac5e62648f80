package fxdbprom_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestTenantsHaveFiguresOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewRegistry()
	unregister, err := fxdbprom.RegisterTenants(reg, db)
	require.NoError(t, err)
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	_, err = db.Exec(acme, "select pg_sleep(0.3)")
	require.NoError(t, err)
	tx, err := db.Begin(acme)
	require.NoError(t, err)

	f := gatherOne(t, reg)
	require.Positive(t, f["onepool_tenant_connection_hold_seconds_total{tenant=acme}"])
	require.Contains(t, f, "onepool_tenant_acquire_wait_seconds_total{tenant=acme}")
	delete(f, "onepool_tenant_connection_hold_seconds_total{tenant=acme}")
	delete(f, "onepool_tenant_acquire_wait_seconds_total{tenant=acme}")
	require.Equal(t, figures{
		"onepool_tenant_connections_held{tenant=acme}":       1,
		"onepool_tenant_acquires_waiting{tenant=acme}":       0,
		"onepool_tenant_acquires_total{tenant=acme}":         2,
		"onepool_tenant_acquires_refused_total{tenant=acme}": 0,
	}, f)
	_, err = fxdbprom.RegisterTenants(reg, db)
	require.ErrorContains(t, err, "registered already")

	require.NoError(t, tx.Rollback(acme))
	unregister()
	unregister()
	require.Empty(t, gather(t, reg))
}

func TestAStoppedApplicationLeavesNoTenantRegistered(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var db *fxdb.DB
	a := app(t, &db, fxdbprom.TenantsModule, registerer(reg))
	require.NoError(t, a.Start(t.Context()))
	_, err := db.Exec(tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"}), "select 1")
	require.NoError(t, err)
	require.Equal(t, 1, gatherOne(t, reg)["onepool_tenant_acquires_total{tenant=acme}"])
	require.NoError(t, a.Stop(t.Context()))
	require.Empty(t, gather(t, reg))
}
