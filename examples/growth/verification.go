package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/tenant"
)

// checks times verification. Of the requests 60 % are pending and 40 % completed, with a result
// and two pieces of evidence.
type checks struct{ c *verification.Client }

func (k *checks) module() fx.Option { return fx.Options(verification.Module, fx.Populate(&k.c)) }

func (k *checks) client() any { return k.c }

func (k *checks) loads(*world, int, time.Duration) []load { return nil }

func (k *checks) rows() []string {
	return []string{
		`insert into verification.requests (tenant_id, id, content, priority, status, cache_key, created_at)
		select growth.tenant(g), 'r' || g, 'content', (array['low', 'medium', 'high', 'critical'])[1 + g / 20 % 4],
		       case when g / 2 % 10 < 6 then 'pending' else 'completed' end, repeat('0', 64), now() - g / 100 * interval '1 minute'
		from generate_series(1, $1) g`,
		`insert into verification.results (tenant_id, id, request_id, verdict, confidence, processing_time_ms)
		select growth.tenant(g), growth.entry(g), 'r' || g, 'verified_true', 0.5, 1 from generate_series(1, $1) g where g / 2 % 10 >= 6`,
		`insert into verification.evidence (tenant_id, result_id, request_id, relevance_score, credibility_score, supporting_claim, verification_method)
		select growth.tenant(g), growth.entry(g), 'r' || g, 0.5, 0.5, i = 1, case when g % 3 > 0 then 'fact_checking' end
		from generate_series(1, $1) g, generate_series(1, 2) i where g / 2 % 10 >= 6`,
		`insert into verification.cache (tenant_id, cache_key, result_data, result_hash, expires_at, size_bytes)
		select growth.tenant(g), lpad(g::text, 64, '0'), '{}', repeat('0', 64), now() + case when g / 2 % 10 = 0 then interval '-1 hour' else interval '1 day' end + g * interval '1 ms', 2
		from generate_series(1, $1) g`,
		"select verification.recount()",
	}
}

func (k *checks) calls(n int) []call {
	c := k.c
	done := func(i int) int { return 2 * (10*(i*37%(n/20)) + 7) } // completed, of the large tenant
	request := func(i int) verification.Request {
		return verification.Request{ID: fmt.Sprint("new", i), Content: fmt.Sprint("content ", i)}
	}
	evidence := func(i int) []verification.Evidence {
		return []verification.Evidence{{Source: "s", Content: fmt.Sprint("new ", i), Relevance: 0.5, Credibility: 0.5, Supporting: true}}
	}
	deep := ""
	return []call{
		{name: "SaveRequest", run: func(ctx context.Context, i int) (any, error) { return none(c.SaveRequest(ctx, request(i))) }},
		{name: "SetRequestStatus", run: func(ctx context.Context, i int) (any, error) {
			return none(c.SetRequestStatus(ctx, fmt.Sprint("new", i), verification.Processing, verification.StatusDetails{}))
		}},
		{name: "SaveResult", run: func(ctx context.Context, i int) (any, error) {
			return the(c.SaveResult(ctx, verification.Result{RequestID: fmt.Sprint("new", i), Verdict: verification.VerifiedTrue, Supporting: evidence(i)}))
		}},
		{name: "AddEvidence", run: func(ctx context.Context, i int) (any, error) {
			return none(c.AddEvidence(ctx, entryID(done(i)), evidence(i)))
		}},
		{name: "Result", run: func(ctx context.Context, i int) (any, error) { return the(c.Result(ctx, fmt.Sprint("r", done(i)))) }},
		{name: "ResultsPage: 100", run: func(ctx context.Context, i int) (any, error) {
			return the(c.ResultsPage(ctx, fmt.Sprint("r", done(i)), 0, ""))
		}},
		{name: "Request", run: func(ctx context.Context, i int) (any, error) { return the(c.Request(ctx, fmt.Sprint("r", done(i)))) }},
		{name: "RequestsPage: 100 pending", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.RequestsPage(ctx, verification.Pending, 0, ""))
		}},
		{name: "Pending: 50", run: func(ctx context.Context, _ int) (any, error) { return the(c.Pending(ctx, 50)) }},
		{name: "PendingPage: 50", run: func(ctx context.Context, _ int) (any, error) { return the(c.PendingPage(ctx, 50, "")) }},
		{name: "PendingPage: 50, in depth", before: func(ctx context.Context, i int) error {
			if i > 0 {
				return nil
			}
			for range max(1, min(20, n/4000)) { // 20,000 requests deep at most
				p, err := c.PendingPage(ctx, min(1000, n/8), deep)
				if err != nil {
					return err
				}
				deep = p.Next
			}
			return nil
		}, run: func(ctx context.Context, _ int) (any, error) { return the(c.PendingPage(ctx, 50, deep)) }},
		{name: "CacheGet", run: func(ctx context.Context, i int) (any, error) {
			r, _, err := c.CacheGet(ctx, request(i))
			return r, err
		}},
		{name: "CachePut", run: func(ctx context.Context, i int) (any, error) {
			return none(c.CachePut(ctx, request(i), verification.Result{Verdict: verification.VerifiedTrue}, time.Hour))
		}},
		{name: "CacheStats", run: func(ctx context.Context, _ int) (any, error) { return the(c.CacheStats(ctx)) }},
		{name: "RecordMethodRun", run: func(ctx context.Context, _ int) (any, error) {
			return none(c.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{Success: true}))
		}},
		{name: "SetMethod", run: func(context.Context, int) (any, error) {
			return none(c.SetMethod(tenant.System(context.Background(), "growth"), verification.FactChecking, verification.MethodPatch{Priority: ptr(1)}))
		}},
		{name: "MethodPerformance", run: func(ctx context.Context, _ int) (any, error) { return the(c.MethodPerformance(ctx)) }},
		{name: "EvidenceQuality", run: func(ctx context.Context, _ int) (any, error) { return the(c.EvidenceQuality(ctx)) }},
		{name: "CachePurge: a tenth", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.CachePurge(ctx)) }},
		{name: "CachePurge: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.CachePurge(ctx)) }},
		{name: "Available", run: func(ctx context.Context, _ int) (any, error) { return c.Available(ctx), nil }},
		{name: "CheckSchema", run: func(ctx context.Context, _ int) (any, error) { return none(c.CheckSchema(ctx)) }},
	}
}
