package knowledge_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// shared is the one table that belongs to no tenant.
const shared = "knowledge.provider_health"

func catalog(t testing.TB, db *fxdb.DB, sql string) []string {
	t.Helper()
	rows, err := testkit.Owner(t, db).Query(t.Context(), sql)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// tenantTables are all tables of the schema but the shared one, by the catalog.
// Each must be led by its tenant: that column is the first of every key and of
// every index that has an order.
func tenantTables(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	tables := catalog(t, db, `
		select oid::regclass::text from pg_class where relnamespace = 'knowledge'::regnamespace and relkind in ('r', 'p', 'm', 'f', 'v')
		and oid <> '`+shared+`'::regclass order by 1`)
	require.Len(t, tables, 7)
	require.Empty(t, catalog(t, db, `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
		join pg_am am on am.oid = x.relam join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = 'knowledge'::regnamespace and c.oid <> '`+shared+`'::regclass and am.amname = 'btree' and a.attname <> 'tenant_id'`),
		"indexes that the tenant does not lead")
	require.Empty(t, catalog(t, db, `
		select conname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.connamespace = 'knowledge'::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id'`), "references that the tenant does not lead")
	return tables
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

// strangers are all who have nothing to do with acme's rows.
func strangers(t testing.TB) map[string]context.Context {
	return map[string]context.Context{"another tenant": as(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")}
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		acme := as(t, "acme")
		fill(t, acme, c)
		for _, table := range tenantTables(t, db) {
			own := func() (n int) {
				scan(t, acme, db, "select count(*) from "+table, &n)
				return n
			}
			require.Equal(t, 1, own(), table)
			for who, ctx := range strangers(t) {
				var n int
				scan(t, ctx, db, "select count(*) from "+table, &n)
				require.Zero(t, n, "%s read %s", who, table)
				for _, sql := range []string{"update %s set tenant_id = tenant_id", "delete from %s"} {
					tag, err := db.Exec(ctx, fmt.Sprintf(sql, table))
					require.NoError(t, err)
					require.Zero(t, tag.RowsAffected(), "%s: "+sql, who, table)
				}
			}
			require.Equal(t, 1, own(), table)
		}
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
		"knowledge.entry_feedback": "(tenant_id, entry_id, old, new, success) values ('acme', " + id + ", 0, 0, true)",
	}
	for _, table := range tenantTables(t, db) {
		require.Contains(t, forged, table)
		for who, ctx := range strangers(t) {
			for _, conflict := range []string{"", " on conflict do nothing"} {
				_, err := db.Exec(ctx, "insert into "+table+forged[table]+conflict)
				require.True(t, isCode(err, "42501"), "%s forged a row of %s: %v", who, table, err)
				require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden)
			}
		}
		_, err := db.Exec(acme, "update "+table+" set tenant_id = 'globex'")
		require.True(t, isCode(err, "42501"), "a row of %s was given away: %v", table, err)
	}
	// Foreign keys don't see policies: they are led by the tenant instead.
	storeQuery(t, acme, c, "acme only")
	_, err := db.Exec(globex, "insert into knowledge.responses (query_id, summary, confidence, processing_time_ms) values ('acme only', '', 0, 0)")
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
	// Without a tenant the column has no default: there is no row of nobody's.
	_, err = db.Exec(t.Context(), "insert into knowledge.cache_counters default values")
	require.Error(t, err)
}

func TestEveryTenantTableIsForcedAndHasAPolicyPerCommand(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	for _, table := range tenantTables(t, db) {
		var enabled, forced bool
		var commands []string
		var wrong int
		require.NoError(t, testkit.Owner(t, db).QueryRow(t.Context(), `
			select relrowsecurity, relforcerowsecurity, array(select polcmd::text from pg_policy where polrelid = c.oid order by 1),
			       (select count(*) from pg_policy where polrelid = c.oid
			        and concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) not like '%NULLIF(( SELECT current_setting(%')
			from pg_class c where oid = $1::regclass`, table).Scan(&enabled, &forced, &commands, &wrong))
		require.True(t, enabled && forced, table)
		require.Equal(t, []string{"a", "d", "r", "w"}, commands, table)
		require.Zero(t, wrong, table)
	}
}

// Behind a policy the operators of GIN indexes, not being leakproof, filter what
// another index found: one of these would cost writes and serve no read.
func TestNoIndexIsOneThatAPolicyForbids(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	require.Empty(t, catalog(t, db, "select indexname::text from pg_indexes where schemaname = 'knowledge' and indexdef like '%USING gin%'"))
}

func TestReadsUseTheIndexesUnderThePolicies(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	exec(t, ctx, db, `insert into knowledge.cache (cache_key, content, expires_at, size_bytes) select 'k' || g, '1', now() + interval '1 hour', 1 from generate_series(1, 5000) g`)
	exec(t, ctx, db, `insert into knowledge.entries (source, entity_id, kind, name, body, content_hash) select 's', g::text, 'k', '', '', repeat('0', 64) from generate_series(1, 5000) g`)
	exec(t, ctx, db, `insert into knowledge.queries (id, query_text, query_type, requester_id) select g::text, '', 'trend', 'r' from generate_series(1, 5000) g`)
	_, err := testkit.Owner(t, db).Exec(t.Context(), "analyze knowledge.cache, knowledge.entries, knowledge.queries")
	require.NoError(t, err)
	for sql, index := range map[string]string{
		"select content from knowledge.cache where cache_key = 'k77'":                                              "cache_pkey",
		"select 1 from knowledge.cache where expires_at <= now()":                                                  "cache_expires_idx",
		"select 1 from knowledge.entries where source = 's' and entity_id = '77' and status = 'active'":            "entries_active_key",
		"update knowledge.queries set status = 'failed' where id = '77'":                                           "queries_pkey",
		"select id from knowledge.queries where status = 'failed'":                                                 "queries_status_idx",
		"select id from knowledge.queries where requester_id = 'x' order by id limit 5":                            "queries_requester_idx",
		"select id from knowledge.queries order by priority desc, created_at limit 5":                              "queries_priority_idx",
		"select id from knowledge.queries order by created_at desc limit 5":                                        "queries_created_idx",
		"select id from knowledge.search_results where query_id = 'q' and content_hash = repeat('0', 64)":          "search_results_",
		"select 1 from knowledge.responses where query_id = 'q'":                                                   "responses_query_idx",
		"select 1 from knowledge.entry_feedback where entry_id = '00000000-0000-0000-0000-000000000001' limit 100": "entry_feedback_entry_idx",
	} {
		rows, err := db.Query(ctx, "explain "+sql)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(plan, func(l string) bool { return strings.Contains(l, index) }), "%s: %v", sql, plan)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		owner := testkit.Owner(t, db).Config().ConnConfig
		sources, err := migrate.Check([]migrate.Source{{Name: "knowledge", FS: knowledge.Migrations()}})
		require.NoError(t, err)
		require.NoError(t, c.CheckSchema(t.Context()))

		require.NoError(t, migrate.Down(t.Context(), owner, sources))
		require.Empty(t, catalog(t, db, "select nspname::text from pg_namespace where nspname = 'knowledge'"))
		err = c.CheckSchema(t.Context())
		require.ErrorIs(t, err, modules.ErrSchema)
		require.ErrorContains(t, err, "DB_MIGRATE")
		require.NoError(t, migrate.Up(t.Context(), owner, zap.NewNop(), sources))
		require.NoError(t, c.CheckSchema(t.Context()))
		fill(t, as(t, "acme"), c)
	})
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		owner := testkit.Owner(t, db)
		change := func(sql string) {
			t.Helper()
			_, err := owner.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		change("revoke select on knowledge.cache from onepool_app")
		err := c.CheckSchema(t.Context())
		require.ErrorIs(t, err, modules.ErrSchema)
		require.ErrorContains(t, err, "knowledge.cache")
		change("grant select on knowledge.cache to onepool_app")
		require.NoError(t, c.CheckSchema(t.Context()))

		change("update onepool.knowledge_versions set is_applied = false where version_id > 1")
		require.ErrorContains(t, c.CheckSchema(t.Context()), "it is at version 1, needed is 2")
		change("update onepool.knowledge_versions set is_applied = true where version_id > 1")
		change("alter table knowledge.entries rename embedding to other")
		require.ErrorContains(t, c.CheckSchema(t.Context()), "knowledge.entries.embedding")
		change("alter table knowledge.entries rename other to embedding")
		change("revoke usage on schema onepool from onepool_app")
		require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
		change("drop table knowledge.cache_counters")
		require.ErrorContains(t, c.CheckSchema(t.Context()), "knowledge.cache_counters")
		change("revoke usage on schema knowledge from onepool_app")
		require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)

		// What is no fault of the schema does not send anybody to the migrations.
		require.NoError(t, db.Close(t.Context()))
		err = c.CheckSchema(t.Context())
		require.ErrorIs(t, err, fxdb.ErrDraining)
		require.NotContains(t, err.Error(), "DB_MIGRATE")
	})
}

func TestModuleWorksAloneAndWithOthersInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]fx.Option{
		"alone":  {knowledge.Module},
		"first":  {knowledge.Module, agentregistry.Module, fx.Invoke(func(*agentregistry.Client) {})},
		"second": {agentregistry.Module, knowledge.Module, fx.Invoke(func(*agentregistry.Client) {})},
	} {
		var c *knowledge.Client
		app := fxtest.New(t, append(options, fxdb.Module, testkit.Swap(t), fx.Populate(&c))...)
		app.RequireStart()
		_, err := c.StoreQuery(as(t, "acme"), query("q"))
		require.NoError(t, err, name)
		app.RequireStop()
	}
}
