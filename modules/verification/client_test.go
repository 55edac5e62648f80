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
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

var (
	as       = clienttest.As
	scan     = clienttest.Scan
	exec     = clienttest.Exec
	together = clienttest.Together
)

// newClient returns a client on a database of this test's own.
func newClient(t testing.TB) (*verification.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	db := testkit.DB(t, testkit.Migrations("verification", verification.Migrations()))
	c, err := verification.New(verification.Params{DB: db.Named("verification", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

func request(id string, change ...func(*verification.Request)) verification.Request {
	r := verification.Request{ID: id, Content: "the earth is round", Types: []verification.MethodType{verification.FactChecking}}
	for _, fn := range change {
		fn(&r)
	}
	return r
}

func result(requestID string, change ...func(*verification.Result)) verification.Result {
	r := verification.Result{RequestID: requestID, Verdict: verification.VerifiedTrue, Confidence: 0.9, ProcessingTime: time.Second}
	for _, fn := range change {
		fn(&r)
	}
	return r
}

func evidence(content string, change ...func(*verification.Evidence)) verification.Evidence {
	e := verification.Evidence{Source: "https://example.org/" + content, Content: content, Relevance: 0.5, Credibility: 0.5}
	for _, fn := range change {
		fn(&e)
	}
	return e
}

func save(t testing.TB, ctx context.Context, c *verification.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, c.SaveRequest(ctx, request(id)))
	}
}

func saveResult(t testing.TB, ctx context.Context, c *verification.Client, r verification.Result) string {
	t.Helper()
	id, err := c.SaveResult(ctx, r)
	require.NoError(t, err)
	require.Len(t, id, 36)
	return id
}

func stored(t testing.TB, ctx context.Context, c *verification.Client, requestID string) verification.Result {
	t.Helper()
	r, err := c.Result(ctx, requestID)
	require.NoError(t, err)
	return r
}

func ptr[T any](v T) *T { return &v }

const nobody = "00000000-0000-0000-0000-000000000000"

// use calls every method that needs a tenant, in an order in which all succeed.
func use(c *verification.Client, ctx context.Context) map[string]error {
	out := map[string]error{}
	out["SaveRequest"] = c.SaveRequest(ctx, request("r"))
	_, out["Pending"] = c.Pending(ctx, 10)
	out["SetRequestStatus"] = c.SetRequestStatus(ctx, "r", verification.Processing, verification.StatusDetails{})
	id, err := c.SaveResult(ctx, result("r"))
	out["SaveResult"] = err
	if err != nil {
		id = nobody
	}
	out["AddEvidence"] = c.AddEvidence(ctx, id, []verification.Evidence{evidence("e")})
	_, out["Result"] = c.Result(ctx, "r")
	_, out["Request"] = c.Request(ctx, "r")
	_, out["RequestsPage"] = c.RequestsPage(ctx, verification.Completed, 0, "")
	_, out["ResultsPage"] = c.ResultsPage(ctx, "r", 0, "")
	_, out["EvidenceQuality"] = c.EvidenceQuality(ctx)
	out["CachePut"] = c.CachePut(ctx, request("r"), result("r"), time.Hour)
	_, _, out["CacheGet"] = c.CacheGet(ctx, request("r"))
	_, out["CachePurge"] = c.CachePurge(ctx)
	_, out["CacheStats"] = c.CacheStats(ctx)
	return out
}

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := verification.New(verification.Params{
		DB: db.Named("verification"), Config: verification.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	// What belongs to all tenants needs none.
	require.NoError(t, c.RecordMethodRun(t.Context(), verification.FactChecking, verification.MethodRun{}))
	require.NoError(t, c.SetMethod(t.Context(), verification.FactChecking, verification.MethodPatch{}))
	_, err = c.MethodPerformance(t.Context())
	require.NoError(t, err)

	_, err = verification.New(verification.Params{DB: db, Config: verification.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	require.ErrorContains(t, err, "verification: Config.DefaultTenant")
	_, err = verification.New(verification.Params{})
	require.ErrorContains(t, err, "verification: Params.DB")
}

func TestTheSystemOwnsNothing(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	for name, err := range use(c, tenant.System(t.Context(), "test")) {
		switch name {
		case "Pending", "RequestsPage", "EvidenceQuality", "CachePurge", "CacheStats":
			require.NoError(t, err, name)
		default:
			require.Error(t, err, name)
		}
	}
}

// Every method says which it is, and fails once the pool is away.
func TestErrorsNameTheMethod(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.NoError(t, db.Close(t.Context()))
	all := use(c, as(t, "acme"))
	all["RecordMethodRun"] = c.RecordMethodRun(t.Context(), verification.FactChecking, verification.MethodRun{})
	all["SetMethod"] = c.SetMethod(t.Context(), verification.FactChecking, verification.MethodPatch{})
	_, all["MethodPerformance"] = c.MethodPerformance(t.Context())
	prefixes := map[string]string{
		"SaveRequest": "save request", "Pending": "pending", "SetRequestStatus": "set request status", "SaveResult": "save result",
		"AddEvidence": "add evidence", "Result": "result", "EvidenceQuality": "evidence quality", "CachePut": "cache put", "CacheGet": "cache get",
		"CachePurge": "cache purge", "CacheStats": "cache stats", "RecordMethodRun": "record method run", "SetMethod": "set method",
		"MethodPerformance": "method performance",
		"Request":           "request", "RequestsPage": "requests", "ResultsPage": "results",
	}
	require.Len(t, all, len(prefixes))
	for name, err := range all {
		require.ErrorIs(t, err, fxdb.ErrDraining, name)
		require.ErrorContains(t, err, "verification: "+prefixes[name]+": ")
	}
}

func TestAvailableIsAskedEachTime(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.Eventually(t, func() bool { return c.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.NoError(t, db.Close(t.Context()))
	require.False(t, c.Available(t.Context()))

	var early *verification.Client
	app := fx.New(fx.NopLogger, fxdb.Module, verification.Module, fx.Populate(&early),
		fx.Replace(fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/nowhere", Start: "degrade", ConnectionTimeout: 100 * time.Millisecond}))
	require.NoError(t, app.Err())
	require.False(t, early.Available(t.Context()))
	require.ErrorIs(t, early.SaveRequest(as(t, "acme"), request("r")), fxdb.ErrNotStarted)
	// Where there is no server yet, there is nothing to check.
	require.NoError(t, app.Start(t.Context()))
	require.False(t, early.Available(t.Context()))
	require.NoError(t, app.Stop(t.Context()))
}
