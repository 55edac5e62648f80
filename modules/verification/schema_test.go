package verification_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/testkit"
)

var schema = clienttest.Schema{
	Source: "verification", Name: "verification", Shared: []string{"verification.methods"}, Tables: 7, Migrations: verification.Migrations(),
}

// fill leaves one row of the tenant in ctx in every table.
func fill(t testing.TB, ctx context.Context, c *verification.Client) {
	t.Helper()
	save(t, ctx, c, "r")
	saveResult(t, ctx, c, result("r", func(r *verification.Result) {
		r.Supporting = []verification.Evidence{evidence("e")}
		r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}}
	}))
	require.NoError(t, c.CachePut(ctx, request("r"), result("r"), time.Hour))
	_, _, err := c.CacheGet(ctx, request("r"))
	require.NoError(t, err)
}

func TestNoTableShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	fill(t, as(t, "acme"), c)
	schema.ShowsNothing(t, db)
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
		"verification.requests":        "(tenant_id, id, content, cache_key) values ('acme', 'm', 'x', repeat('0', 64))",
		"verification.results":         "(tenant_id, id, request_id, verdict, confidence, processing_time_ms) values ('acme', " + id + ", 'r', 'mixed', 0, 0)",
		"verification.evidence_counts": "(tenant_id, method, evidence, supporting, results, relevance, credibility) values ('acme', '', 1, 1, 1, 1, 1)",
		"verification.evidence": "(tenant_id, id, result_id, request_id, relevance_score, credibility_score, supporting_claim) values ('acme', " + id +
			", " + id + ", 'r', 0, 0, true)",
		"verification.cache":          "(tenant_id, cache_key, result_data, result_hash, expires_at, size_bytes) values ('acme', repeat('0', 64), '1', repeat('0', 64), now(), 1)",
		"verification.cache_counters": "(tenant_id) values ('acme')",
		"verification.method_runs":    "(tenant_id, method_type) values ('acme', 'fact_checking')",
	}
	schema.RefusesForged(t, db, forged, "insert into verification.cache_counters default values")
	save(t, acme, c, "acme only")
	clienttest.RefersToItsOwn(t, db, "insert into verification.results (request_id, verdict, confidence, processing_time_ms) values ('acme only', 'mixed', 0, 0)")
}

func TestTheSchemaIsForced(t *testing.T) {
	t.Parallel()
	_, db := newClient(t)
	schema.IsForced(t, db)
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
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze verification.requests, verification.results, verification.evidence, verification.cache")
	require.NoError(t, err)
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select 1 from verification.requests where id = '77'":                                                               "requests_pkey",
		"select 1 from verification.requests where status = 'failed' order by created_at limit 5":                           "requests_status_idx",
		"select id from verification.results where request_id = '77' order by created_at desc limit 1":                      "results_request_idx",
		"select 1 from verification.evidence where result_id = '00000000-0000-0000-0000-000000000077' order by seq limit 9": "evidence_result_idx",
		"select 1 from verification.evidence where request_id = '77'":                                                       "evidence_request_idx",
		"select 1 from verification.cache where cache_key = lpad('77', 64, '0')":                                            "cache_pkey",
		"select 1 from verification.cache where expires_at <= now()":                                                        "cache_expired_idx",
		`select id from verification.requests r where r.status = 'pending'
			order by case r.priority when 'critical' then 1 when 'high' then 2 when 'medium' then 3 else 4 end, r.created_at, r.id limit 5`: "requests_pending_idx",
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

func TestModuleChecksTheSchemaAtStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := testkit.DB(t).Pool().Config().ConnString()
	bare := fx.New(fx.NopLogger, fxdb.Module, verification.Module, fx.Replace(fxdb.Config{URL: url}), fx.Invoke(func(*verification.Client) {}))
	require.ErrorIs(t, bare.Start(t.Context()), modules.ErrSchema)
}
