package verification_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

func TestAddEvidenceAddsToAResult(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r", "other")
	id := saveResult(t, ctx, c, result("r"))
	untouched := saveResult(t, ctx, c, result("other"))
	require.NoError(t, c.AddEvidence(ctx, id, nil))
	require.Nil(t, stored(t, ctx, c, "r").EvidenceQuality)
	require.NoError(t, c.AddEvidence(ctx, id, []verification.Evidence{
		evidence("s", func(e *verification.Evidence) { e.Supporting, e.Relevance, e.Credibility = true, 1, 1 }), evidence("c1"), evidence("c2"),
	}))
	got := stored(t, ctx, c, "r")
	require.Len(t, got.Supporting, 1)
	require.Equal(t, []string{"c1", "c2"}, []string{got.Contradicting[0].Content, got.Contradicting[1].Content})
	require.InDelta(t, 0.5, *got.EvidenceQuality, 1e-12)
	require.NoError(t, c.AddEvidence(ctx, id, []verification.Evidence{evidence("c3", func(e *verification.Evidence) { e.Relevance = 1 })}))
	require.InDelta(t, 0.5, *stored(t, ctx, c, "r").EvidenceQuality, 1e-12)
	require.Len(t, stored(t, ctx, c, "r").Contradicting, 3)
	other := stored(t, ctx, c, "other")
	require.Equal(t, untouched, other.ID)
	require.Nil(t, other.EvidenceQuality)
	require.Empty(t, other.Contradicting)
	var requests []string
	scan(t, ctx, db, "select array_agg(distinct request_id) from verification.evidence", &requests)
	require.Equal(t, []string{"r"}, requests)
}

func TestAddEvidenceIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	id := saveResult(t, ctx, c, result("r"))
	same := evidence("e", func(e *verification.Evidence) { e.ID = "00000000-0000-0000-0000-00000000000a" })
	require.ErrorIs(t, c.AddEvidence(ctx, id, []verification.Evidence{evidence("x"), same, same}), modules.ErrConflict)
	err := c.AddEvidence(ctx, nobody, []verification.Evidence{evidence("e")})
	require.ErrorIs(t, err, verification.ErrUnknownResult)
	require.ErrorIs(t, err, modules.ErrReference)
	require.ErrorIs(t, c.AddEvidence(ctx, "x", []verification.Evidence{evidence("e")}), modules.ErrInvalid)
	require.ErrorIs(t, c.AddEvidence(ctx, "x", nil), modules.ErrInvalid)
	err = c.AddEvidence(ctx, id, []verification.Evidence{evidence("e"), evidence("bad", func(e *verification.Evidence) { e.Relevance = -1 })})
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "verification: add evidence: evidence 1: invalid: relevance must be from 0 to 1")
	var n int
	scan(t, ctx, db, "select count(*) from verification.evidence", &n)
	require.Zero(t, n)
	require.NoError(t, c.AddEvidence(ctx, id, []verification.Evidence{same}))
}

// A type that the list does not have is stored as general, and not lost.
func TestUnknownTypesOfEvidenceAreKept(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	about := map[string]any{"a": 1.0}
	saveResult(t, ctx, c, result("r", func(r *verification.Result) {
		for _, kind := range []verification.EvidenceType{"", "primary", verification.Factual, verification.Statistical, verification.Testimonial,
			verification.Logical, verification.Anecdotal, verification.General} {
			r.Supporting = append(r.Supporting, evidence("e", func(e *verification.Evidence) { e.Type, e.Metadata = kind, about }))
		}
	}))
	got := stored(t, ctx, c, "r").Supporting
	kinds := []verification.EvidenceType{}
	for i, e := range got {
		kinds = append(kinds, e.Type)
		if i != 1 {
			require.Equal(t, about, e.Metadata, e.Type)
		}
	}
	require.Equal(t, []verification.EvidenceType{verification.General, verification.General, verification.Factual, verification.Statistical,
		verification.Testimonial, verification.Logical, verification.Anecdotal, verification.General}, kinds)
	require.Equal(t, map[string]any{"a": 1.0, "original_type": "primary"}, got[1].Metadata)
	require.Equal(t, map[string]any{"a": 1.0}, about, "the caller's map is not changed")
}

// Many who add to one result lose nothing, and its quality is that of all.
func TestConcurrentEvidenceIsAllRated(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	id := saveResult(t, ctx, c, result("r"))
	together(t, 20, func(i int) error {
		return c.AddEvidence(ctx, id, []verification.Evidence{evidence(fmt.Sprint(i), func(e *verification.Evidence) {
			e.Relevance, e.Credibility = float64(i%2), 1
		})})
	})
	got := stored(t, ctx, c, "r")
	require.Len(t, got.Contradicting, 20)
	require.InDelta(t, 0.5, *got.EvidenceQuality, 1e-12)
}

func TestManyPiecesAreOneStatement(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	saveResult(t, ctx, c, result("r", func(r *verification.Result) {
		for i := range 2000 {
			r.Supporting = append(r.Supporting, evidence(fmt.Sprint(i)))
		}
	}))
	var writers, rows int
	scan(t, ctx, db, "select count(distinct xmin::text), count(*) from verification.evidence", &writers, &rows)
	require.Equal(t, []int{1, 2000}, []int{writers, rows})
	for i, e := range stored(t, ctx, c, "r").Supporting {
		require.Equal(t, fmt.Sprint(i), e.Content)
	}
}

func TestEvidenceQualityIsByMethod(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	none, err := c.EvidenceQuality(ctx)
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)
	save(t, ctx, c, "1", "2")
	by := func(m verification.MethodType, relevance, credibility float64) verification.Evidence {
		return evidence("e", func(e *verification.Evidence) { e.Method, e.Relevance, e.Credibility = &m, relevance, credibility })
	}
	saveResult(t, ctx, c, result("1", func(r *verification.Result) {
		r.Supporting = []verification.Evidence{by(verification.FactChecking, 1, 0.5), by(verification.FactChecking, 0.5, 0.5), by(verification.CrossReference, 0.25, 1)}
		r.Contradicting = []verification.Evidence{by(verification.ConsistencyCheck, 0.5, 0.5), evidence("of none")}
	}))
	saveResult(t, ctx, c, result("2", func(r *verification.Result) {
		r.Contradicting = []verification.Evidence{by(verification.FactChecking, 0, 0.5)}
	}))
	got, err := c.EvidenceQuality(ctx)
	require.NoError(t, err)
	require.Equal(t, []verification.EvidenceQuality{
		{Method: verification.FactChecking, Total: 3, SupportingCount: 2, ContradictingCount: 1, DistinctResults: 2, AvgRelevance: 0.5, AvgCredibility: 0.5},
		{Method: "", Total: 1, ContradictingCount: 1, DistinctResults: 1, AvgRelevance: 0.5, AvgCredibility: 0.5},
		{Method: verification.ConsistencyCheck, Total: 1, ContradictingCount: 1, DistinctResults: 1, AvgRelevance: 0.5, AvgCredibility: 0.5},
		{Method: verification.CrossReference, Total: 1, SupportingCount: 1, DistinctResults: 1, AvgRelevance: 0.25, AvgCredibility: 1},
	}, got)
}

func TestAResultHoldsManyPiecesOfEvidenceButNotAnyNumber(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	id := saveResult(t, ctx, c, result("r"))
	pieces := func(n int) []verification.Evidence { return slices.Repeat([]verification.Evidence{evidence("e")}, n) }
	count := func() (n int) {
		scan(t, ctx, db, "select count(*) from verification.evidence", &n)
		return n
	}
	require.NoError(t, c.AddEvidence(ctx, id, pieces(9_999)))
	err := c.AddEvidence(ctx, id, pieces(2))
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "evidence must be at most 10000 pieces")
	require.Equal(t, 9_999, count(), "all or nothing")
	require.NoError(t, c.AddEvidence(ctx, id, pieces(1)))
	require.ErrorIs(t, c.AddEvidence(ctx, id, pieces(1)), modules.ErrInvalid)
	require.ErrorIs(t, c.AddEvidence(ctx, id, pieces(10_001)), modules.ErrInvalid)
	require.Equal(t, 10_000, count())
	save(t, ctx, c, "rich")
	_, err = c.SaveResult(ctx, result("rich", func(r *verification.Result) { r.Supporting, r.Contradicting = pieces(10_000), pieces(1) }))
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.Len(t, stored(t, ctx, c, "r").Contradicting, 10_000)
}
