package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// house is the application with all five clients on one pool, and what it logged.
type house struct {
	clients
	app  *fxtest.App
	db   *fxdb.DB
	logs *observer.ObservedLogs
}

func newHouse(t testing.TB, opts ...fx.Option) *house {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	h := &house{logs: logs}
	h.app = fxtest.New(t, agency, fx.NopLogger, fx.Supply(zap.New(core)), fx.Populate(&h.db),
		fx.Invoke(func(c clients) { h.clients = c }), fx.Options(opts...))
	h.app.RequireStart()
	t.Cleanup(h.app.RequireStop)
	return h
}

// staff are two tenants of different size, each with that many tasks.
func staff(t testing.TB, tasks int) []actor {
	t.Helper()
	books, err := library()
	require.NoError(t, err)
	return []actor{{"acme", "acme", 2, tasks, books[:3]}, {"globex", "globex", 1, tasks / 2, books[:2]}}
}

// fill has two tenants work with all clients, until every table has rows of both.
func (h *house) fill(t testing.TB) {
	t.Helper()
	actors := staff(t, 20)
	require.NoError(t, play(t.Context(), io.Discard, h.clients, actors))
	for _, a := range actors {
		a.finishFilling(t, h.clients)
	}
}

// tenantTables are the tables that have tenants' rows, as the catalog knows them. The parent of
// the entries has no rows, and shows entries by the words of a search alone.
func (h *house) tenantTables(t testing.TB) []string {
	t.Helper()
	rows, err := testkit.OwnerPool(t, h.db).Query(t.Context(), `
		select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
		where c.relkind = 'r' and a.attname = 'tenant_id'
		and c.oid <> 'knowledge.entry_search'::regclass order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), len(roots))
	return tables
}

func asAcme(ctx context.Context) context.Context {
	return tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
}

// calls are calls of each client, by its name in the pool.
type calls map[string]func(ctx context.Context) error

// roots are the tables in which writes make a row each.
var roots = map[string]string{
	"agentregistry": "registry.agents", "knowledge": "knowledge.queries", "webnavigator": "web.contents",
	"verification": "verification.requests", "orchestrator": "orchestrator.tasks",
}

// writes makes a new row with each client.
func (c clients) writes(id string) calls {
	return calls{
		"agentregistry": func(ctx context.Context) error {
			return c.Agents.Register(ctx, agentregistry.Agent{ID: id, Name: id, ModelFamily: "x", MaxConcurrentTasks: 1})
		},
		"knowledge": func(ctx context.Context) error {
			_, err := c.Knowledge.StoreQuery(ctx, knowledge.Query{ID: id, Text: id, Type: knowledge.Factual, MaxResults: 1, Timeout: time.Second, RequesterID: id, Priority: 1})
			return err
		},
		"webnavigator": func(ctx context.Context) error {
			_, _, err := c.Web.StoreContent(ctx, webnavigator.Content{URL: "https://example.org/" + id, Title: id, Text: id})
			return err
		},
		"verification": func(ctx context.Context) error {
			return c.Verification.SaveRequest(ctx, verification.Request{ID: id, Content: id, Types: []verification.MethodType{verification.CrossReference}})
		},
		"orchestrator": func(ctx context.Context) error {
			return c.Orchestrator.Enqueue(ctx, orchestrator.Task{ID: id, Type: orchestrator.General, Description: id})
		},
	}
}

// reads are one of each client.
func (c clients) reads() calls {
	return calls{
		"agentregistry": func(ctx context.Context) error { _, err := c.Agents.Stats(ctx); return err },
		"knowledge":     func(ctx context.Context) error { _, err := c.Knowledge.EntryStats(ctx, shelf, "document"); return err },
		"webnavigator":  func(ctx context.Context) error { _, err := c.Web.CacheStats(ctx); return err },
		"verification":  func(ctx context.Context) error { _, err := c.Verification.Pending(ctx, 10); return err },
		"orchestrator":  func(ctx context.Context) error { _, err := c.Orchestrator.Stats(ctx); return err },
	}
}

// finishFilling writes, as the actor, to the tables that the demo leaves empty.
func (a actor) finishFilling(t testing.TB, c clients) {
	t.Helper()
	ctx, url := a.context(t.Context()), a.library[0].url()

	require.NoError(t, c.Orchestrator.SnapshotStats(ctx))

	require.NoError(t, c.Knowledge.CachePut(ctx, "key", json.RawMessage(`{}`), time.Hour, knowledge.CacheResponse))
	_, found, err := c.Knowledge.CacheGet(ctx, "key")
	require.NoError(t, err)
	require.True(t, found)
	entry, err := c.Knowledge.GetEntry(ctx, shelf, a.library[0].name)
	require.NoError(t, err)
	_, err = c.Knowledge.ReinforceEntry(ctx, entry.ID, true, nil)
	require.NoError(t, err)

	content, _, err := c.Web.StoreContent(ctx, webnavigator.Content{URL: url, Title: "again", Text: "again", Quality: webnavigator.QualityHigh})
	require.NoError(t, err)
	require.NoError(t, c.Web.CachePut(ctx, url, content, time.Hour))
	_, found, err = c.Web.GetByURL(ctx, url)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, c.Web.StoreMetrics(ctx, content, webnavigator.ExtractionMetrics{Total: time.Second, StatusCode: 200}))

	asked := verification.Request{ID: "cached", Content: "asked", Types: []verification.MethodType{verification.CrossReference}}
	require.NoError(t, c.Verification.CachePut(ctx, asked, verification.Result{RequestID: asked.ID, Verdict: verification.VerifiedTrue, Confidence: 1}, time.Hour))
	_, found, err = c.Verification.CacheGet(ctx, asked)
	require.NoError(t, err)
	require.True(t, found)
}

// Every policy is made to fail where there is no tenant, in place of hiding the rows:
// then no statement of any client can have been without one.
func TestInvariantI2EveryStatementOfEveryClientHasItsTenantSet(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	owner := testkit.OwnerPool(t, h.db)
	_, err := owner.Exec(t.Context(), `
create schema trap;
grant usage on schema trap to public;
create function trap.tenant() returns text language plpgsql stable as $$
begin
    if coalesce(current_setting('app.current_tenant', true), '') = '' then
        raise exception 'trapped: %', current_query();
    end if;
    return current_setting('app.current_tenant');
end $$;
do $$
declare p record;
begin
    for p in select * from pg_policies where concat(qual, with_check) like '%app.current_tenant%' loop
        execute format('alter policy %I on %I.%I', p.policyname, p.schemaname, p.tablename)
            || case when p.qual is null then '' else ' using (tenant_id = trap.tenant())' end
            || case when p.with_check is null then '' else ' with check (tenant_id = trap.tenant())' end;
    end loop;
end $$`)
	require.NoError(t, err)

	h.fill(t)
	for name, read := range h.reads() {
		require.NoError(t, read(asAcme(t.Context())), name)
	}
	for _, e := range h.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "trapped") // of a map NotContains looks at the keys
	}
	for _, c := range h.db.Stats().Clients {
		require.Zero(t, c.Tainted, "%s: its own texts cost connections", c.Name)
	}
	// The trap is at every table of tenants, and it works.
	for _, table := range h.tenantTables(t) {
		_, err := h.db.Exec(t.Context(), "select from "+table)
		require.ErrorContains(t, err, "trapped: ", table)
	}
}

func TestInvariantI3WithoutATenantNothingIsReadOrWritten(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	h.fill(t)
	for _, all := range []calls{h.reads(), h.writes("nobody's")} {
		for name, call := range all {
			require.ErrorIs(t, call(t.Context()), fxdb.ErrTenantRequired, name)
		}
	}
	// Nor where somebody says that the work belongs to no tenant, or goes around the clients.
	ctx := tenant.System(t.Context(), "invariants")
	for name, call := range h.writes("nobody's") {
		require.Error(t, call(ctx), name)
	}
	for _, table := range h.tenantTables(t) {
		for _, sql := range []string{"delete from " + table, "update " + table + " set tenant_id = tenant_id"} {
			tag, err := h.db.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
			require.Zero(t, tag.RowsAffected(), sql)
		}
		var rows int
		require.NoError(t, h.db.QueryRow(t.Context(), "select count(*) from "+table).Scan(&rows))
		require.Zero(t, rows, table)
		require.NoError(t, h.db.QueryRow(asAcme(t.Context()), "select count(*) from "+table).Scan(&rows))
		require.Positive(t, rows, table)
	}
}

// Raw statements without any condition stand for a client that forgot its own. Every
// table that the catalog knows has rows of two tenants, and none lets one reach the
// other's, or nobody any.
func TestInvariantI4TheDatabaseKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	h.fill(t)
	// One of each client's, so that none is missing from the catalog unnoticed.
	require.Subset(t, testkit.RequireIsolation(t, h.db,
		testkit.AllowTable("knowledge.entry_search", "the table shows entries by the words of a search alone"),
		testkit.AllowTable("knowledge.provider_health", "all tenants share the health of a provider"),
		testkit.AllowTable("orchestrator.queue_config", "operators set the queues of all tenants"),
		testkit.AllowTable("verification.methods", "operators set the methods of all tenants"),
		testkit.AllowTable("web.rate_limits", "operators set the limits of sites"),
		testkit.AllowTable("web.site_requests", "the requests of all tenants to a site count together")),
		[]string{"registry.agents", "knowledge.entries", "web.contents", "verification.results", "orchestrator.tasks"})
}

// The clients' own statements, replayed as another tenant and as a session without a tenant,
// depend on no row of the tenant.
func TestTheClientsReadNoRowsOfOthers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	testkit.RequireIsolatedReads(t, h.db, func() { h.fill(t) })
}
