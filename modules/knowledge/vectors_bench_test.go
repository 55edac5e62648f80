package knowledge_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

// BenchmarkVectorsUnderAPolicy prints the recall and the times of SearchSimilar with pgvector for
// a tenant with half of 30,000 entries, which the index searches, and for a tenant with one in a
// hundred, whose entries SearchSimilar compares one by one. The embeddings stand in 300 groups.
func BenchmarkVectorsUnderAPolicy(b *testing.B) {
	c, db := newClientOn(b, vectors)
	owner := testkit.OwnerPool(b, db)
	script := func(statements ...string) {
		for _, sql := range statements {
			_, err := owner.Exec(b.Context(), sql)
			require.NoError(b, err)
		}
	}
	script("drop index knowledge.entries_embedding_idx",
		`create function public.near(grp int) returns real[] language sql volatile as
			'select array_agg((sin(grp * 7919 * i) + 1.4 * (random() - 0.5))::real order by i) from generate_series(1, 768) i'`)
	for tenant, entries := range map[string]int{"large": 15_000, "rest": 14_700, "tiny": 300} {
		_, err := db.Exec(as(b, tenant), `insert into knowledge.entries (source, entity_id, kind, name, body, content_hash, embedding)
			select 's', g::text, 'k', '', '', repeat('0', 64), public.near(g % 300)::public.vector from generate_series(1, $1::int) g`, entries)
		require.NoError(b, err)
	}
	began := time.Now()
	script("create index entries_embedding_idx on knowledge.entries using hnsw (embedding public.vector_cosine_ops) with (m = 16, ef_construction = 64) where status = 'active'",
		"analyze knowledge.entries")
	b.Logf("the index took %s", time.Since(began).Round(time.Second))

	const questions, k = 40, 10
	for _, tenant := range []string{"large", "tiny"} {
		b.Run(tenant, func(b *testing.B) {
			ctx := as(b, tenant)
			var took []time.Duration
			found := 0
			for i := range questions {
				var question []float32
				require.NoError(b, db.QueryRow(ctx, "select public.near($1::int)", i*7).Scan(&question))
				exact := nearest(b, ctx, db, question, k)
				began := time.Now()
				hits, err := c.SearchSimilar(ctx, question, knowledge.SearchOptions{K: k})
				require.NoError(b, err)
				took = append(took, time.Since(began))
				for _, h := range hits {
					if slices.Contains(exact, h.ID) {
						found++
					}
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(found)/(questions*k), "recall")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// nearest are the ids of the tenant's nearest entries, compared one by one.
func nearest(b *testing.B, ctx context.Context, db *fxdb.DB, question []float32, k int) []string {
	b.Helper()
	rows, err := db.Query(ctx, "select id::text from knowledge.entries order by (embedding operator(public.<=>) $1::real[]::public.vector) + 0 limit $2::int", question, k)
	require.NoError(b, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b, err)
	return ids
}
