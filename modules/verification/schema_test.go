package verification_test

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
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// shared is the one table that belongs to no tenant.
const shared = "verification.methods"

func catalog(t testing.TB, db *fxdb.DB, sql string) []string {
	t.Helper()
	rows, err := testkit.Owner(t, db).Query(t.Context(), sql)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// tenantTables are all tables of the schema but the shared one, by the catalog.
// Each must be led by its tenant: that column is the first of every key, of every
// index that has an order and of every reference.
func tenantTables(t testing.TB, db *fxdb.DB) []string {
	t.Helper()
	tables := catalog(t, db, `
		select oid::regclass::text from pg_class where relnamespace = 'verification'::regnamespace and relkind in ('r', 'p', 'm', 'f', 'v')
		and oid <> '`+shared+`'::regclass order by 1`)
	require.Len(t, tables, 5)
	require.Empty(t, catalog(t, db, `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
		join pg_class x on x.oid = i.indexrelid join pg_am am on am.oid = x.relam join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
		where c.relnamespace = 'verification'::regnamespace and c.oid <> '`+shared+`'::regclass and am.amname = 'btree' and a.attname <> 'tenant_id'`),
		"indexes that the tenant does not lead")
	require.Empty(t, catalog(t, db, `
		select conname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
		where k.connamespace = 'verification'::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id'`), "references that the tenant does not lead")
	return tables
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *verification.Client) {
	t.Helper()
	save(t, ctx, c, "r")
	saveResult(t, ctx, c, result("r", func(r *verification.Result) { r.Supporting = []verification.Evidence{evidence("e")} }))
	require.NoError(t, c.CachePut(ctx, request("r"), result("r"), time.Hour))
	_, _, err := c.CacheGet(ctx, request("r"))
	require.NoError(t, err)
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
}

// Through the methods, too, no tenant sees or changes what is another's, even
// where both use the same ids.
func TestMethodsSeeTheirTenantOnly(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c)
	save(t, acme, c, "pending")
	_, err := c.Result(globex, "r")
	require.ErrorIs(t, err, verification.ErrResultNotFound)
	require.ErrorIs(t, c.SetRequestStatus(globex, "pending", verification.Processing, verification.StatusDetails{}), verification.ErrRequestNotFound)
	_, err = c.SaveResult(globex, result("pending"))
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	stored, err := c.Result(acme, "r")
	require.NoError(t, err)
	require.ErrorIs(t, c.AddEvidence(globex, stored.ID, []verification.Evidence{evidence("x")}), verification.ErrUnknownResult)
	_, found, err := c.CacheGet(globex, request("r"))
	require.NoError(t, err)
	require.False(t, found)
	pending, err := c.Pending(globex, 10)
	require.NoError(t, err)
	require.Empty(t, pending)
	quality, err := c.EvidenceQuality(globex)
	require.NoError(t, err)
	require.Empty(t, quality)
	again, err := c.Result(acme, "r")
	require.NoError(t, err)
	require.Equal(t, stored, again)
	fill(t, globex, c) // the same ids are free
}

func TestNobodyWritesInAnothersName(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	fill(t, acme, c)
	fill(t, globex, c)
	const id = "'00000000-0000-0000-0000-000000000001'"
	forged := map[string]string{
		"verification.requests": "(tenant_id, id, content, cache_key) values ('acme', 'm', 'x', repeat('0', 64))",
		"verification.results":  "(tenant_id, id, request_id, verdict, confidence, processing_time_ms) values ('acme', " + id + ", 'r', 'mixed', 0, 0)",
		"verification.evidence": "(tenant_id, id, result_id, request_id, relevance_score, credibility_score, supporting_claim) values ('acme', " + id +
			", " + id + ", 'r', 0, 0, true)",
		"verification.cache":          "(tenant_id, cache_key, result_data, result_hash, expires_at, size_bytes) values ('acme', repeat('0', 64), '1', repeat('0', 64), now(), 1)",
		"verification.cache_counters": "(tenant_id) values ('acme')",
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
	save(t, acme, c, "acme only")
	_, err := db.Exec(globex, "insert into verification.results (request_id, verdict, confidence, processing_time_ms) values ('acme only', 'mixed', 0, 0)")
	require.ErrorIs(t, modules.Classify(err), modules.ErrReference)
	// Without a tenant the column has no default: there is no row of nobody's.
	_, err = db.Exec(t.Context(), "insert into verification.cache_counters default values")
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

// The verifier of the library finds no hole in the schema.
func TestTheSchemaIsVerified(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	report, err := tenant.Verify(t.Context(), db.Pool())
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Findings)
	require.Empty(t, slices.DeleteFunc(report.Findings, func(f tenant.Finding) bool { return f.Level == tenant.LevelNote }))
}

// Behind a policy the operators of GIN indexes, not being leakproof, filter what
// another index found: one of these would cost writes and serve no read.
func TestNoIndexIsOneThatAPolicyForbids(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	require.Empty(t, catalog(t, db, "select indexname::text from pg_indexes where schemaname = 'verification' and indexdef like '%USING gin%'"))
}

func TestReadsUseTheIndexesUnderThePolicies(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into verification.requests (id, content, cache_key, status)
		select g::text, '', repeat('0', 64), case g % 2 when 0 then 'pending' else 'completed' end from generate_series(1, 5000) g`)
	exec(t, ctx, db, `insert into verification.results (id, request_id, verdict, confidence, processing_time_ms)
		select lpad(g::text, 32, '0')::uuid, g::text, 'mixed', 0, 0 from generate_series(1, 3000) g`)
	exec(t, ctx, db, `insert into verification.evidence (result_id, request_id, relevance_score, credibility_score, supporting_claim)
		select lpad(g::text, 32, '0')::uuid, g::text, 0, 0, true from generate_series(1, 3000) g`)
	exec(t, ctx, db, `insert into verification.cache (cache_key, result_data, result_hash, expires_at, size_bytes)
		select lpad(g::text, 64, '0'), '1', repeat('0', 64), now() + interval '1 hour', 1 from generate_series(1, 3000) g`)
	_, err := testkit.Owner(t, db).Exec(t.Context(), "analyze verification.requests, verification.results, verification.evidence, verification.cache")
	require.NoError(t, err)
	for sql, index := range map[string]string{
		"select 1 from verification.requests where id = '77'":                                                               "requests_pkey",
		"select 1 from verification.requests where status = 'failed' order by created_at limit 5":                           "requests_status_idx",
		"select id from verification.results where request_id = '77' order by created_at desc limit 1":                      "results_request_idx",
		"select 1 from verification.evidence where result_id = '00000000-0000-0000-0000-000000000077' order by seq limit 9": "evidence_result_idx",
		"select 1 from verification.evidence where request_id = '77'":                                                       "evidence_request_idx",
		"select 1 from verification.cache where cache_key = lpad('77', 64, '0')":                                            "cache_pkey",
		"select 1 from verification.cache where expires_at <= now()":                                                        "cache_expires_idx",
		`select id from verification.requests r where r.status = 'pending'
			order by case r.priority when 'critical' then 1 when 'high' then 2 when 'medium' then 3 else 4 end, r.created_at, r.id limit 5`: "requests_pending_idx",
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
	sources, err := migrate.Check([]migrate.Source{{Name: "verification", FS: verification.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, c.CheckSchema(t.Context()))

	require.NoError(t, migrate.Down(t.Context(), owner, sources))
	require.Empty(t, catalog(t, db, "select nspname::text from pg_namespace where nspname = 'verification'"))
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
	for _, table := range append(tenantTables(t, db), shared) {
		for _, privilege := range []string{"select", "insert", "update", "delete"} {
			_, err := owner.Exec(t.Context(), "revoke "+privilege+" on "+table+" from onepool_app")
			require.NoError(t, err)
			err = c.CheckSchema(t.Context())
			require.ErrorIs(t, err, modules.ErrSchema)
			require.ErrorContains(t, err, "verification: check the schema: ")
			require.ErrorContains(t, err, table)
			_, err = owner.Exec(t.Context(), "grant "+privilege+" on "+table+" to onepool_app")
			require.NoError(t, err)
		}
	}
	require.NoError(t, c.CheckSchema(t.Context()))
	_, err := owner.Exec(t.Context(), "update onepool.verification_versions set is_applied = false where version_id = 1")
	require.NoError(t, err)
	require.ErrorContains(t, c.CheckSchema(t.Context()), "it is at version 0, needed is 1")
}

func TestModuleWorksAloneAndWithOthersInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]fx.Option{
		"alone":  {verification.Module},
		"first":  {verification.Module, agentregistry.Module, fx.Invoke(func(*agentregistry.Client) {})},
		"second": {agentregistry.Module, verification.Module, fx.Invoke(func(*agentregistry.Client) {})},
	} {
		var c *verification.Client
		app := fxtest.New(t, append(options, fxdb.Module, testkit.Swap(t), fx.Populate(&c))...)
		app.RequireStart()
		require.NoError(t, c.SaveRequest(as(t, "acme"), request("r")), name)
		app.RequireStop()
	}
}

func TestModuleChecksTheSchemaAtStart(t *testing.T) {
	t.Parallel()
	url := testkit.DB(t).Pool().Config().ConnString()
	bare := fx.New(fx.NopLogger, fxdb.Module, verification.Module, fx.Replace(fxdb.Config{URL: url}), fx.Invoke(func(*verification.Client) {}))
	require.ErrorIs(t, bare.Start(t.Context()), modules.ErrSchema)
}
