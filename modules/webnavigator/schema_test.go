package webnavigator_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

var schema = clienttest.Schema{
	Source: "webnavigator", Name: "web", Shared: []string{"web.rate_limits", "web.site_requests"}, View: "web.traversal_stats", Tables: 9, Migrations: webnavigator.Migrations(),
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *webnavigator.Client) {
	t.Helper()
	id := storeContent(t, ctx, c, page, "text")
	require.NoError(t, c.CachePut(ctx, page, id, time.Hour))
	_, _, err := c.GetByURL(ctx, page)
	require.NoError(t, err)
	require.NoError(t, c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{}))
	addNode(t, ctx, c, startTraversal(t, ctx, c, "s"))
	_, err = c.CountRequest(ctx, site, 0, 1)
	require.NoError(t, err)
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	fill(t, as(t, "acme"), c)
	schema.ShowsNothing(t, db)
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c)
	fill(t, globex, c)
	var content, walk string
	scan(t, acme, db, "select id::text from web.contents", &content)
	scan(t, acme, db, "select id::text from web.traversals", &walk)
	forged := map[string]string{
		"web.contents":           "(tenant_id, url, title, content, content_hash, cached_until, content_size_bytes) values ('acme', 'm', '', '', repeat('0', 64), now(), 0)",
		"web.cache":              "(tenant_id, url, content_id, expires_at, cache_size_bytes) values ('acme', 'm', '" + content + "', now(), 0)",
		"web.cache_counters":     "(tenant_id) values ('acme')",
		"web.tenant_requests":    "(tenant_id, domain, window_end) values ('acme', 'm', now())",
		"web.traversals":         "(tenant_id, session_id, start_url, strategy) values ('acme', 'm', '', 'depth_first')",
		"web.traversal_nodes":    "(tenant_id, traversal_id, url, depth) values ('acme', '" + walk + "', 'm', 0)",
		"web.node_counts":        "(tenant_id, traversal_id, status, depth) values ('acme', '" + walk + "', 'visited', 0)",
		"web.cache_minutes":      "(tenant_id, minute, entries) values ('acme', now(), 1)",
		"web.extraction_metrics": "(tenant_id, content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, ssl_verified) values ('acme', '" + content + "', 0, 0, 0, 0, 0, true)",
	}
	schema.RefusesForged(t, db, forged, "insert into web.cache_counters default values")
}

func TestTheSchemaIsForced(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	schema.IsForced(t, db)
}

func TestReadsUseTheIndexesUnderThePolicies(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	fill(t, ctx, c)
	exec(t, ctx, db, `with c as (insert into web.contents (url, title, content, content_hash, cached_until, content_size_bytes)
		select 'u' || g, '', '', repeat('0', 64), now() + interval '1 hour', 0 from generate_series(1, 1000) g returning id, url)
		insert into web.cache (url, content_id, expires_at, cache_size_bytes) select url, id, now() + interval '1 hour', 0 from c`)
	exec(t, ctx, db, `insert into web.traversals (session_id, start_url, strategy) select 's' || g, '', 'depth_first' from generate_series(1, 1000) g`)
	exec(t, ctx, db, `insert into web.traversal_nodes (traversal_id, url, depth, content_id) select t.id, 'u', 0, null from web.traversals t where session_id <> 's'`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze web.contents, web.cache, web.traversals, web.traversal_nodes, web.node_counts")
	require.NoError(t, err)
	const id = "'" + nowhere + "'"
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"update web.cache set hit_count = 1 where url = 'u77' and expires_at > now()": "cache_pkey",
		"select 1 from web.cache where expires_at <= now()":                           "cache_expired_idx",
		"select 1 from web.cache where content_id = " + id:                            "cache_content_idx",
		"select 1 from web.contents where id = " + id:                                 "contents_pkey",
		"select 1 from web.contents where cached_until <= now()":                      "contents_expired_idx",
		"select 1 from web.contents where url = 'u77' order by extracted_at desc":     "contents_",
		"select 1 from web.traversals where session_id = 's77'":                       "traversals_session_key",
		"select 1 from web.traversal_nodes where id = " + id:                          "traversal_nodes_pkey",
		"select 1 from web.traversal_nodes where content_id = " + id:                  "traversal_nodes_content_idx",
		"select * from web.traversal_stats where session_id = 's77'":                  "node_counts_key_idx",
	})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.GoesDownAndUp(t, db, c.CheckSchema)
	fill(t, as(t, "acme"), c)
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	schema.SaysWhatIsMissing(t, db, c.CheckSchema)
}
