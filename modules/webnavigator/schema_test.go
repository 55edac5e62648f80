package webnavigator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// shared is the one table that belongs to no tenant.
const shared = "web.rate_limits"

const view = "web.traversal_stats"

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
		select oid::regclass::text from pg_class where relnamespace = 'web'::regnamespace and relkind in ('r', 'p', 'm', 'f')
		and oid <> '`+shared+`'::regclass order by 1`)
	require.Len(t, tables, 6)
	require.Empty(t, catalog(t, db, `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
		join pg_am am on am.oid = x.relam join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = 'web'::regnamespace and c.oid <> '`+shared+`'::regclass and am.amname = 'btree' and a.attname <> 'tenant_id'`),
		"indexes that the tenant does not lead")
	require.Empty(t, catalog(t, db, `
		select conname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.connamespace = 'web'::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id'`), "references that the tenant does not lead")
	return tables
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
}

// strangers are all who have nothing to do with acme's rows.
func strangers(t testing.TB) map[string]context.Context {
	return map[string]context.Context{"another tenant": as(t, "globex"), "nobody": t.Context(), "the system": tenant.System(t.Context(), "test")}
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme := as(t, "acme")
	fill(t, acme, c)
	for _, table := range append(tenantTables(t, db), view) {
		own := func() (n int) {
			scan(t, acme, db, "select count(*) from "+table, &n)
			return n
		}
		require.Equal(t, 1, own(), table)
		for who, ctx := range strangers(t) {
			var n int
			scan(t, ctx, db, "select count(*) from "+table, &n)
			require.Zero(t, n, "%s read %s", who, table)
			if table == view {
				continue
			}
			for _, sql := range []string{"update %s set tenant_id = tenant_id", "delete from %s"} {
				tag, err := db.Exec(ctx, fmt.Sprintf(sql, table))
				require.NoError(t, err)
				require.Zero(t, tag.RowsAffected(), "%s: "+sql, who, table)
			}
		}
		require.Equal(t, 1, own(), table)
	}
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
		"web.traversals":         "(tenant_id, session_id, start_url, strategy) values ('acme', 'm', '', 'depth_first')",
		"web.traversal_nodes":    "(tenant_id, traversal_id, url, depth) values ('acme', '" + walk + "', 'm', 0)",
		"web.extraction_metrics": "(tenant_id, content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, ssl_verified) values ('acme', '" + content + "', 0, 0, 0, 0, 0, true)",
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
	// Without a tenant the column has no default: there is no row of nobody's.
	_, err := db.Exec(t.Context(), "insert into web.cache_counters default values")
	require.Error(t, err)
}

func TestEveryTenantTableIsForcedAndHasAPolicyPerCommand(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	for _, table := range tenantTables(t, db) {
		var enabled, forced, invoker bool
		var commands []string
		var wrong int
		require.NoError(t, testkit.Owner(t, db).QueryRow(t.Context(), `
			select relrowsecurity, relforcerowsecurity, array(select polcmd::text from pg_policy where polrelid = c.oid order by 1),
			       (select count(*) from pg_policy where polrelid = c.oid
			        and concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) not like '%NULLIF(( SELECT current_setting(%'),
			       (select 'security_invoker=true' = any(reloptions) from pg_class where oid = '`+view+`'::regclass)
			from pg_class c where oid = $1::regclass`, table).Scan(&enabled, &forced, &commands, &wrong, &invoker))
		require.True(t, enabled && forced, table)
		require.Equal(t, []string{"a", "d", "r", "w"}, commands, table)
		require.Zero(t, wrong, table)
		require.True(t, invoker)
	}
}

// Behind a policy the operators of GIN indexes, not being leakproof, filter what
// another index found: one of these would cost writes and serve no read.
func TestNoIndexIsOneThatAPolicyForbids(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	require.Empty(t, catalog(t, db, "select indexname::text from pg_indexes where schemaname = 'web' and indexdef like '%USING gin%'"))
}

func TestReadsUseTheIndexesUnderThePolicies(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	fill(t, ctx, c)
	exec(t, ctx, db, `with c as (insert into web.contents (url, title, content, content_hash, cached_until, content_size_bytes)
		select 'u' || g, '', '', repeat('0', 64), now() + interval '1 hour', 0 from generate_series(1, 5000) g returning id, url)
		insert into web.cache (url, content_id, expires_at, cache_size_bytes) select url, id, now() + interval '1 hour', 0 from c`)
	exec(t, ctx, db, `insert into web.traversals (session_id, start_url, strategy) select 's' || g, '', 'depth_first' from generate_series(1, 5000) g`)
	exec(t, ctx, db, `insert into web.traversal_nodes (traversal_id, url, depth, content_id) select t.id, 'u', 0, null from web.traversals t where session_id <> 's'`)
	_, err := testkit.Owner(t, db).Exec(t.Context(), "analyze web.contents, web.cache, web.traversals, web.traversal_nodes")
	require.NoError(t, err)
	const id = "'" + nowhere + "'"
	for sql, index := range map[string]string{
		"update web.cache set hit_count = 1 where url = 'u77' and expires_at > now()": "cache_pkey",
		"select 1 from web.cache where expires_at <= now()":                           "cache_expires_idx",
		"select 1 from web.cache where content_id = " + id:                            "cache_content_idx",
		"select 1 from web.contents where id = " + id:                                 "contents_pkey",
		"select 1 from web.contents where cached_until <= now()":                      "contents_cached_until_idx",
		"select 1 from web.contents where url = 'u77' order by extracted_at desc":     "contents_",
		"select 1 from web.traversals where session_id = 's77'":                       "traversals_session_key",
		"select 1 from web.traversal_nodes where id = " + id:                          "traversal_nodes_pkey",
		"select 1 from web.traversal_nodes where content_id = " + id:                  "traversal_nodes_content_idx",
		"select * from " + view + " where session_id = 's77'":                         "traversal_nodes_status_idx",
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
	c, db := newClient(t)
	owner := testkit.Owner(t, db).Config().ConnConfig
	sources, err := migrate.Check([]migrate.Source{{Name: "webnavigator", FS: webnavigator.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, c.CheckSchema(t.Context()))

	require.NoError(t, migrate.Down(t.Context(), owner, sources))
	require.Empty(t, catalog(t, db, "select nspname::text from pg_namespace where nspname = 'web'"))
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "DB_MIGRATE")
	require.NoError(t, migrate.Up(t.Context(), owner, zap.NewNop(), sources))
	require.NoError(t, c.CheckSchema(t.Context()))
	fill(t, as(t, "acme"), c)
}

func TestCheckSchemaSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	owner := testkit.Owner(t, db)
	change := func(sql string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	change("revoke select on web.cache from onepool_app")
	err := c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "web.cache")
	change("grant select on web.cache to onepool_app")
	require.NoError(t, c.CheckSchema(t.Context()))

	change("update onepool.webnavigator_versions set is_applied = false where version_id = 1")
	require.ErrorContains(t, c.CheckSchema(t.Context()), "it is at version 0, needed is 1")
	change("update onepool.webnavigator_versions set is_applied = true where version_id = 1")
	change("revoke usage on schema onepool from onepool_app")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)
	change("drop view " + view)
	require.ErrorContains(t, c.CheckSchema(t.Context()), view)
	change("revoke usage on schema web from onepool_app")
	require.ErrorIs(t, c.CheckSchema(t.Context()), modules.ErrSchema)

	// What is no fault of the schema does not send anybody to the migrations.
	require.NoError(t, db.Close(t.Context()))
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
}

func TestModuleWorksAloneAndWithOthersInAnyOrder(t *testing.T) {
	t.Parallel()
	others := fx.Invoke(func(*agentregistry.Client, *knowledge.Client) {})
	for name, options := range map[string][]fx.Option{
		"alone": {webnavigator.Module},
		"first": {webnavigator.Module, agentregistry.Module, knowledge.Module, others},
		"last":  {knowledge.Module, agentregistry.Module, webnavigator.Module, others},
	} {
		var c *webnavigator.Client
		app := fxtest.New(t, append(options, fxdb.Module, testkit.Swap(t), fx.Populate(&c))...)
		app.RequireStart()
		storeContent(t, as(t, "acme"), c, page, name)
		app.RequireStop()
	}
}
