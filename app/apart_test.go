package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestATenantStopsASiteForNobodyElse(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, globex := newCallers(t)
	const site = "POST /web/rate-limits/example.com/requests"
	for _, window := range []string{"9223372036854775807", "86400000000001", "-1"} {
		acme.call(site, `{"window_ns": `+window+`, "limit": 1}`, http.StatusBadRequest, "window_ns must be from 1 ms to 24 h")
	}
	acme.call(site, `{"window_ns": 86400000000000, "limit": 1}`, http.StatusOK, `"allowed":true`)
	acme.call(site, `{"window_ns": 86400000000000, "limit": 1}`, http.StatusOK, `"allowed":false`)
	globex.call(site, `{"limit": 1}`, http.StatusOK, `"count":1,"allowed":true`)
}

// shares are calls that touch what belongs to all tenants, as two tenants may make them
// at once. Each id is used once.
func (c clients) shares(id string) calls {
	all := calls{
		"count a request": func(ctx context.Context) error {
			_, err := c.Web.CountRequest(ctx, "example.com", 0, 10)
			return err
		},
		"record a run": func(ctx context.Context) error {
			return c.Verification.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{})
		},
		"save a result": func(ctx context.Context) error {
			if err := c.Verification.SaveRequest(ctx, verification.Request{ID: id + " result", Content: id}); err != nil {
				return err
			}
			_, err := c.Verification.SaveResult(ctx, verification.Result{RequestID: id + " result", Verdict: verification.Mixed,
				Methods: []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}}})
			return err
		},
		"ask a cache": func(ctx context.Context) error {
			_, _, err := c.Knowledge.CacheGet(ctx, "key")
			return err
		},
		"claim": func(ctx context.Context) error {
			_, err := c.Orchestrator.Claim(ctx, 1, id)
			return err
		},
	}
	for name, write := range c.writes(id) {
		all["write with "+name] = write
	}
	return all
}

// A row of all tenants that one tenant's transaction locks would stop the others until
// it commits.
func TestAnOpenTransactionOfATenantStopsNoOther(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	require.NoError(t, h.Web.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "example.com", Status: webnavigator.RateOK, TotalLimit: 100}))
	acme := asAcme(t.Context())
	for first := range h.shares("") {
		err := h.db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if err := h.shares(fmt.Sprint("acme ", first))[first](modules.Join(acme, tx)); err != nil {
				return err
			}
			globex, cancel := context.WithTimeout(tenant.NewContext(t.Context(), tenant.Identity{Tenant: "globex"}), 30*time.Second)
			defer cancel()
			// Of the same kind, so that both take the same rows.
			if err := h.shares(fmt.Sprint("globex ", first))[first](globex); err != nil {
				return fmt.Errorf("globex waited for acme: %w", err)
			}
			return nil
		})
		require.NoError(t, err, first)
	}
}

// Go's calls refuse a context with a tenant; the database refuses the rest.
func TestRowsOfAllTenantsAreAnOperatorsToWrite(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	h.fill(t)
	require.NoError(t, h.Web.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "example.com", Status: webnavigator.RateOK, TotalLimit: 100}))
	_, err := h.Web.CountRequest(asAcme(t.Context()), "example.com", 0, 10)
	require.NoError(t, err)
	rows, err := testkit.OwnerPool(t, h.db).Query(t.Context(), `
		select c.oid::regclass::text, (select quote_ident(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = 1)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'r' and n.nspname in ('registry', 'knowledge', 'web', 'verification', 'orchestrator')
		and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') order by 1`)
	require.NoError(t, err)
	type table struct{ Name, Column string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	require.NoError(t, err)
	require.Len(t, tables, 5)
	for _, table := range tables {
		for _, sql := range []string{
			"update %[1]s set %[2]s = %[2]s", "delete from %[1]s", "insert into %[1]s select * from %[1]s",
			"insert into %[1]s select * from %[1]s on conflict do nothing",
		} {
			sql = fmt.Sprintf(sql, table.Name, table.Column)
			_, err := h.db.Exec(tenant.NewContext(t.Context(), tenant.Identity{Tenant: "globex"}), sql)
			require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden, sql)
		}
	}
}
