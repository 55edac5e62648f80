package verification_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/testkit"
)

func TestEvidenceQualityStaysExactUnderConcurrentWrites(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	piece := func(i int) verification.Evidence {
		method := []verification.MethodType{verification.FactChecking, verification.CrossReference}[i%2]
		e := verification.Evidence{Content: fmt.Sprint(i), Relevance: 0.1 * float64(i%10), Credibility: 0.3, Supporting: i%3 == 0, Method: &method}
		if i%5 == 0 {
			e.Method = nil
		}
		return e
	}
	results := make([]string, 3)
	for i := range results {
		id := fmt.Sprint("r", i)
		require.NoError(t, c.SaveRequest(ctx, verification.Request{ID: id, Content: id}))
		var err error
		results[i], err = c.SaveResult(ctx, verification.Result{RequestID: id, Verdict: verification.VerifiedTrue, Supporting: []verification.Evidence{piece(i), piece(i + 2)}})
		require.NoError(t, err)
	}
	together(t, 16, func(i int) error {
		for k := range 10 {
			if err := c.AddEvidence(ctx, results[(i+k)%3], []verification.Evidence{piece(i), piece(i + k), piece(k)}); err != nil {
				return err
			}
		}
		return nil
	})
	same := func() {
		t.Helper()
		got, err := c.EvidenceQuality(ctx)
		require.NoError(t, err)
		rows, err := db.Query(ctx, `select coalesce(verification_method, ''), count(*), count(*) filter (where supporting_claim), count(*) filter (where not supporting_claim),
			count(distinct result_id), avg(relevance_score), avg(credibility_score) from verification.evidence group by 1 order by 2 desc, 1`)
		require.NoError(t, err)
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var want verification.EvidenceQuality
			require.NoError(t, rows.Scan(&want.Method, &want.Total, &want.SupportingCount, &want.ContradictingCount, &want.DistinctResults, &want.AvgRelevance, &want.AvgCredibility))
			require.Less(t, n, len(got))
			require.InDelta(t, want.AvgRelevance, got[n].AvgRelevance, 1e-9)
			require.InDelta(t, want.AvgCredibility, got[n].AvgCredibility, 1e-9)
			want.AvgRelevance, want.AvgCredibility = got[n].AvgRelevance, got[n].AvgCredibility
			require.Equal(t, want, got[n])
		}
		require.NoError(t, rows.Err())
		require.Len(t, got, n)
	}
	same()
	exec(t, ctx, db, "delete from verification.evidence_counts")
	clienttest.Recount(t, db, "verification", "acme")
	same()
	exec(t, ctx, db, "update verification.evidence set verification_method = 'cross_reference', relevance_score = 1 where supporting_claim and result_id = '"+results[0]+"'")
	same()
	exec(t, ctx, db, "delete from verification.evidence where verification_method = 'cross_reference' and result_id = '"+results[1]+"'")
	same()
	exec(t, ctx, db, "delete from verification.requests where id = 'r2'")
	same()
	exec(t, ctx, db, "delete from verification.requests")
	same()
}

// A page in depth begins at its key: the order of the index answers, without a sort of the rows
// in front.
func TestPendingContinuesByTheIndex(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into verification.requests (id, content, priority, cache_key)
		select g::text, '', (array['low', 'medium', 'high', 'critical'])[1 + g % 4], repeat('0', 64) from generate_series(1, 5000) g`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze verification.requests")
	require.NoError(t, err)
	const rank = "case r.priority when 'critical' then 1 when 'high' then 2 when 'medium' then 3 else 4 end"
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select r.id from verification.requests r where r.status = 'pending' and (" + rank + ", r.created_at, r.id) > (3, now(), 'x') order by " + rank + ", r.created_at, r.id limit 50": "requests_pending_idx",
	})
	seen, after := map[string]bool{}, ""
	for {
		page, err := c.PendingPage(ctx, 1000, after)
		require.NoError(t, err)
		for _, r := range page.Items {
			require.False(t, seen[r.ID])
			seen[r.ID] = true
		}
		if after = page.Next; after == "" {
			break
		}
	}
	require.Len(t, seen, 5000)
}
