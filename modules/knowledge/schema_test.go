package knowledge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

var schema = clienttest.Schema{
	Source: "knowledge", Name: "knowledge", Shared: []string{"knowledge.provider_health"}, Search: "knowledge.entry_search", Tables: 8, Migrations: knowledge.Migrations(),
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *knowledge.Client) {
	t.Helper()
	storeQuery(t, ctx, c, "q")
	_, err := c.StoreResults(ctx, []knowledge.SearchResult{result("q", "text", func(r *knowledge.SearchResult) { r.ID = "r" })})
	require.NoError(t, err)
	_, err = c.StoreResponse(ctx, knowledge.Response{QueryID: "q"})
	require.NoError(t, err)
	require.NoError(t, c.CachePut(ctx, "k", []byte("1"), 1<<40, ""))
	_, _, err = c.CacheGet(ctx, "k")
	require.NoError(t, err)
	id, err := c.PutEntry(ctx, entry("e", func(e *knowledge.Entry) { e.Embedding = vector(0) }))
	require.NoError(t, err)
	_, err = c.ReinforceEntry(ctx, id, true, nil)
	require.NoError(t, err)
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		fill(t, as(t, "acme"), c)
		schema.ShowsNothing(t, db)
	})
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c)
	fill(t, globex, c)
	const id = "'00000000-0000-0000-0000-000000000001'"
	forged := map[string]string{
		"knowledge.queries": "(tenant_id, id, query_text, query_type, requester_id) values ('acme', 'm', 'x', 'trend', 'm')",
		"knowledge.search_results": `(tenant_id, id, query_id, title, content, url, domain, source_type, relevance_score, credibility_score, provider, content_hash)
			values ('acme', 'm', 'q', '', '', '', '', 'web', 0, 0, 'p', repeat('0', 64))`,
		"knowledge.responses":      "(tenant_id, query_id, summary, confidence, processing_time_ms) values ('acme', 'q', '', 0, 0)",
		"knowledge.cache":          "(tenant_id, cache_key, content, expires_at, size_bytes) values ('acme', 'm', '1', now(), 1)",
		"knowledge.cache_counters": "(tenant_id) values ('acme')",
		"knowledge.entries":        "(tenant_id, id, source, entity_id, kind, name, body, content_hash) values ('acme', " + id + ", 's', 'm', 'k', '', '', repeat('0', 64))",
		"knowledge.entry_counts":   "(tenant_id, source, kind, active, replaced, archived, needs_review, confidence) values ('acme', '', '', 1, 0, 0, 0, 1)",
		"knowledge.entry_feedback": "(tenant_id, entry_id, old, new, success) values ('acme', " + id + ", 0, 0, true)",
	}
	schema.RefusesForged(t, db, forged, "insert into knowledge.cache_counters default values")
	storeQuery(t, acme, c, "acme only")
	clienttest.RefersToItsOwn(t, db, "insert into knowledge.responses (query_id, summary, confidence, processing_time_ms) values ('acme only', '', 0, 0)")
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
	storeQuery(t, ctx, c, "q")
	exec(t, ctx, db, `insert into knowledge.cache (cache_key, content, expires_at, size_bytes) select 'k' || g, '1', now() + interval '1 hour', 1 from generate_series(1, 1000) g`)
	exec(t, ctx, db, `insert into knowledge.entries (source, entity_id, kind, name, body, content_hash) select 's', g::text, 'k', '', '', repeat('0', 64) from generate_series(1, 1000) g`)
	exec(t, ctx, db, `insert into knowledge.queries (id, query_text, query_type, requester_id) select g::text, '', 'trend', 'r' from generate_series(1, 1000) g`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze knowledge.cache, knowledge.entries, knowledge.queries")
	require.NoError(t, err)
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select content from knowledge.cache where cache_key = 'k77'":                                                                            "cache_pkey",
		"select 1 from knowledge.cache where expires_at <= now()":                                                                                "cache_expired_idx",
		"select 1 from knowledge.entries where source = 's' and entity_id = '77' and status = 'active'":                                          "entries_active_key",
		"update knowledge.queries set status = 'failed' where id = '77'":                                                                         "queries_pkey",
		"select id from knowledge.queries where status = 'failed'":                                                                               "queries_status_idx",
		"select id from knowledge.queries where status = 'failed' and (created_at, id) < (now(), 'x') order by created_at desc, id desc limit 5": "AND (status = 'failed'::text) AND (ROW(created_at, id) <",
		"select id from knowledge.queries where requester_id = 'x' order by id limit 5":                                                          "queries_requester_idx",
		"select id from knowledge.queries order by priority desc, created_at limit 5":                                                            "queries_priority_idx",
		"select id from knowledge.queries order by created_at desc limit 5":                                                                      "queries_created_idx",
		"select id from knowledge.search_results where query_id = 'q' and content_hash = repeat('0', 64)":                                        "search_results_",
		"select 1 from knowledge.responses where query_id = 'q'":                                                                                 "responses_query_idx",
		"select 1 from knowledge.entry_feedback where entry_id = '00000000-0000-0000-0000-000000000001' limit 100":                               "entry_feedback_entry_idx",
	})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		schema.GoesDownAndUp(t, db, c.CheckSchema)
		fill(t, as(t, "acme"), c)
	})
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		for _, sql := range []string{"rename embedding to other", "rename other to embedding"} {
			_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "alter table knowledge.entries "+sql)
			require.NoError(t, err)
			if strings.HasPrefix(sql, "rename embedding") {
				require.ErrorContains(t, c.CheckSchema(t.Context()), "knowledge.entries.embedding")
			}
		}
		schema.SaysWhatIsMissing(t, db, c.CheckSchema)
	})
}
