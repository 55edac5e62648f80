package verification_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/verification"
)

func TestEveryMethodIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, w := clienttest.Wired(t, "verification", verification.Migrations())
	c, err := verification.New(verification.Params{DB: db})
	require.NoError(t, err)
	ctx := as(t, "acme")
	for i := range 5 {
		save(t, ctx, c, fmt.Sprint("status", i), fmt.Sprint("result", i), fmt.Sprint("rich", i))
	}
	save(t, ctx, c, "r")
	id := saveResult(t, ctx, c, result("r"))
	pieces := func(n int) (out []verification.Evidence) {
		for k := range n {
			out = append(out, evidence(fmt.Sprint(k)))
		}
		return out
	}
	run := func() error { return c.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{}) }
	clienttest.Flights(t, w, c, map[string]func(i int) error{
		"SaveRequest": func(i int) error { return c.SaveRequest(ctx, request(fmt.Sprint("r", i))) },
		"SetRequestStatus": func(i int) error {
			return c.SetRequestStatus(ctx, fmt.Sprint("status", i), verification.Processing, verification.StatusDetails{})
		},
		"Pending":     func(int) error { _, err := c.Pending(ctx, 10); return err },
		"PendingPage": func(int) error { _, err := c.PendingPage(ctx, 10, ""); return err },
		"SaveResult":  func(i int) error { _, err := c.SaveResult(ctx, result(fmt.Sprint("result", i))); return err },
		"SaveResult: with much evidence": func(i int) error {
			_, err := c.SaveResult(ctx, result(fmt.Sprint("rich", i), func(r *verification.Result) {
				r.Supporting = pieces(200)
				r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}, {Method: verification.CrossReference, Verdict: verification.Mixed}}
			}))
			return err
		},
		"Request":             func(int) error { _, err := c.Request(ctx, "r"); return err },
		"RequestsPage":        func(int) error { _, err := c.RequestsPage(ctx, verification.Pending, 0, ""); return err },
		"ResultsPage":         func(int) error { _, err := c.ResultsPage(ctx, "r", 0, ""); return err },
		"Result":              func(int) error { _, err := c.Result(ctx, "r"); return err },
		"AddEvidence":         func(int) error { return c.AddEvidence(ctx, id, pieces(1)) },
		"AddEvidence: of 200": func(int) error { return c.AddEvidence(ctx, id, pieces(200)) },
		"EvidenceQuality":     func(int) error { _, err := c.EvidenceQuality(ctx); return err },
		"CacheGet":            func(int) error { _, _, err := c.CacheGet(ctx, request("r")); return err },
		"CachePut":            func(int) error { return c.CachePut(ctx, request("r"), result("r"), time.Hour) },
		"CachePurge":          func(int) error { _, err := c.CachePurge(ctx); return err },
		"CacheStats":          func(int) error { _, err := c.CacheStats(ctx); return err },
		"RecordMethodRun":     func(int) error { return run() },
		"SetMethod": func(int) error {
			return c.SetMethod(t.Context(), verification.FactChecking, verification.MethodPatch{})
		},
		"MethodPerformance": func(int) error { _, err := c.MethodPerformance(ctx); return err },
		"CheckSchema":       func(int) error { return c.CheckSchema(ctx) },
		"Available":         func(int) error { c.Available(ctx); return nil },
	}, map[string]int64{"CheckSchema": 2, "Available": 0})
}
