package verification_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

func TestAResultComesBackAsItWasSaved(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r", "other")
	at := time.Date(1867, 5, 4, 3, 2, 1, 123456000, time.UTC)
	full := verification.Evidence{
		ID: "00000000-0000-0000-0000-00000000000a", Source: "https://example.org", Content: "it is so", Relevance: 0.1, Credibility: 0.7,
		Supporting: true, Type: verification.Statistical, Method: ptr(verification.CrossReference), Title: ptr("T"), Publisher: ptr("P"),
		PublishedAt: &at, VerifiedAt: at.Add(time.Hour), Metadata: map[string]any{"a": "b"},
	}
	want := verification.Result{
		RequestID: "r", Verdict: verification.PartiallyTrue, Confidence: 1.0 / 3, Reasoning: []string{"first", "second"},
		Supporting:    []verification.Evidence{full, evidence("s2"), evidence("s3")},
		Contradicting: []verification.Evidence{evidence("c1", func(e *verification.Evidence) { e.Supporting = true }), evidence("c2")},
		Methods: []verification.MethodResult{
			{
				Method: verification.CrossReference, Verdict: verification.PartiallyTrue, Confidence: 0.25, Reasoning: []string{"m"},
				ProcessingTime: 1234567, EvidenceCount: 3, Metadata: map[string]any{"k": 1.0},
			},
			{Method: verification.FactChecking, Verdict: verification.VerifiedFalse, Reasoning: []string{}, Metadata: map[string]any{}},
			{Method: verification.FactChecking, Verdict: verification.VerdictError, Err: ptr("no net")},
		},
		ProcessingTime: 1500 * time.Millisecond,
	}
	id := saveResult(t, ctx, c, want)
	got := stored(t, ctx, c, "r")
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	for side, all := range map[bool][]verification.Evidence{true: got.Supporting, false: got.Contradicting} {
		for i, e := range all {
			require.Equal(t, side, e.Supporting)
			if e.ID == full.ID {
				continue
			}
			require.Len(t, e.ID, 36)
			require.WithinDuration(t, time.Now(), e.VerifiedAt, time.Minute)
			require.Equal(t, verification.General, e.Type)
			require.Equal(t, map[string]any{}, e.Metadata)
			all[i] = evidence(e.Content)
		}
	}
	want.Contradicting[0].Supporting = false
	want.ID, want.CreatedAt = id, got.CreatedAt
	require.InDelta(t, (0.07+4*0.25)/5, *got.EvidenceQuality, 1e-12)
	require.InDelta(t, 0.5, *got.Consensus, 1e-12, "one of two methods agreed, the third failed")
	want.EvidenceQuality, want.Consensus = got.EvidenceQuality, got.Consensus
	require.Equal(t, want, got)

	done := progress(t, db, "r")
	require.WithinDuration(t, time.Now(), *done.CompletedAt, time.Minute)
	require.Equal(t, requestRow{Status: "completed", CompletedAt: done.CompletedAt, ProcessingMs: ptr(int64(1500))}, done)
	require.Equal(t, requestRow{Status: "pending"}, progress(t, db, "other"))
	var n, ofRequest, hashed int
	scan(t, ctx, db, `select count(*), count(*) filter (where request_id = 'r'),
		count(*) filter (where content_hash = encode(sha256(convert_to(content_excerpt, 'UTF8')), 'hex')) from verification.evidence`, &n, &ofRequest, &hashed)
	require.Equal(t, []int{5, 5, 5}, []int{n, ofRequest, hashed})
}

func TestABareResult(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for _, verdict := range []verification.Verdict{
		verification.VerifiedTrue, verification.VerifiedFalse, verification.PartiallyTrue, verification.Unverified,
		verification.Contradictory, verification.VerdictInsufficient, verification.Mixed, verification.VerdictError,
	} {
		save(t, ctx, c, string(verdict))
		id := saveResult(t, ctx, c, verification.Result{RequestID: string(verdict), Verdict: verdict})
		got := stored(t, ctx, c, string(verdict))
		require.Equal(t, verification.Result{
			RequestID: string(verdict), Verdict: verdict, Reasoning: []string{}, Supporting: []verification.Evidence{},
			Contradicting: []verification.Evidence{}, Methods: []verification.MethodResult{}, ID: id, CreatedAt: got.CreatedAt,
		}, got)
	}
	_, err := c.Result(ctx, "missing")
	require.ErrorIs(t, err, verification.ErrResultNotFound)
	require.ErrorIs(t, err, modules.ErrNotFound)
	_, err = c.Result(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestAResultWithAnErrorFailsItsRequest(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	require.NoError(t, c.SetRequestStatus(ctx, "r", verification.Processing, verification.StatusDetails{}))
	began := progress(t, db, "r").StartedAt
	failed := result("r", func(r *verification.Result) {
		r.Verdict, r.Error, r.ErrorCode = verification.VerdictError, ptr("no net"), ptr(strings.Repeat("c", 50))
	})
	saveResult(t, ctx, c, failed)
	got := stored(t, ctx, c, "r")
	require.Equal(t, []*string{failed.Error, failed.ErrorCode}, []*string{got.Error, got.ErrorCode})
	row := progress(t, db, "r")
	require.Equal(t, requestRow{
		Status: "failed", StartedAt: began, CompletedAt: row.CompletedAt, ProcessingMs: ptr(int64(1000)), Error: failed.Error, ErrorCode: failed.ErrorCode,
	}, row)
	require.NotNil(t, row.CompletedAt)

	// A later result is the newest one, but does not undo what the request has come to.
	_, err := c.SaveResult(ctx, result("r"))
	require.ErrorIs(t, err, verification.ErrStatus)
	require.ErrorContains(t, err, "request is failed")
	require.Equal(t, row, progress(t, db, "r"))
	later := saveResult(t, ctx, c, failed)
	require.Equal(t, later, stored(t, ctx, c, "r").ID)
	require.Equal(t, row, progress(t, db, "r"))
	var n int
	scan(t, ctx, db, "select count(*) from verification.results", &n)
	require.Equal(t, 2, n)
}

func TestAResultNeedsARequestThatIsNotCancelled(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id, err := c.SaveResult(ctx, result("missing"))
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	require.Empty(t, id)
	save(t, ctx, c, "r")
	require.NoError(t, c.SetRequestStatus(ctx, "r", verification.Cancelled, verification.StatusDetails{}))
	before := progress(t, db, "r")
	id, err = c.SaveResult(ctx, result("r", func(r *verification.Result) {
		r.Supporting = []verification.Evidence{evidence("e")}
		r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}}
	}))
	require.ErrorIs(t, err, verification.ErrStatus)
	require.ErrorContains(t, err, "request is cancelled")
	require.Empty(t, id)
	require.Equal(t, before, progress(t, db, "r"))
	var results, pieces, counted int
	scan(t, ctx, db, "select (select count(*) from verification.results), (select count(*) from verification.evidence), (select count(*) from verification.method_runs)",
		&results, &pieces, &counted)
	require.Zero(t, results+pieces+counted)
}

// What fails on the server leaves nothing, not even of what came before it.
func TestAnInvalidResultLeavesNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	same := evidence("e", func(e *verification.Evidence) { e.ID = "00000000-0000-0000-0000-00000000000a" })
	bad := result("r", func(r *verification.Result) {
		r.Supporting = []verification.Evidence{same, same}
		r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}}
	})
	_, err := c.SaveResult(ctx, bad)
	require.ErrorIs(t, err, modules.ErrConflict)
	for must, change := range map[string]func(*verification.Result){
		"request_id must not be blank":                 func(r *verification.Result) { r.RequestID = "" },
		"verdict must be one of [verified_true verifi": func(r *verification.Result) { r.Verdict = "maybe" },
		"confidence must be from 0 to 1":               func(r *verification.Result) { r.Confidence = math.NaN() },
		"reasoning must be text":                       func(r *verification.Result) { r.Reasoning = []string{"\x00"} },
		"processing_time must not be negative":         func(r *verification.Result) { r.ProcessingTime = -1 },
		"error must be text":                           func(r *verification.Result) { r.Error = ptr("\x00") },
		"error_code must be at most 50 bytes":          func(r *verification.Result) { r.ErrorCode = ptr(strings.Repeat("c", 51)) },
		"evidence 1: invalid: relevance must be from":  func(r *verification.Result) { r.Contradicting[0].Relevance = 2 },
		"evidence 0: invalid: credibility must be fro": func(r *verification.Result) { r.Supporting[0].Credibility = -1 },
		"id must be a UUID":                            func(r *verification.Result) { r.Supporting[0].ID = "x" },
		"source must be text":                          func(r *verification.Result) { r.Supporting[0].Source = "\x00" },
		"content must be text":                         func(r *verification.Result) { r.Supporting[0].Content = "\x00" },
		"title must be text":                           func(r *verification.Result) { r.Supporting[0].Title = ptr("\x00") },
		"publisher must be text":                       func(r *verification.Result) { r.Supporting[0].Publisher = ptr("\x00") },
		"method must be one of [fact_checking":         func(r *verification.Result) { r.Supporting[0].Method = ptr(verification.MethodType("guess")) },
		"published_at must be in the years 1 to 9999": func(r *verification.Result) {
			r.Supporting[0].PublishedAt = ptr(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
		},
		"verified_at must be in the years 1 to 9999":   func(r *verification.Result) { r.Supporting[0].VerifiedAt = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) },
		"metadata must be what JSON can hold":          func(r *verification.Result) { r.Supporting[0].Metadata = map[string]any{"a": math.NaN()} },
		"metadata must not hold the NUL character":     func(r *verification.Result) { r.Supporting[0].Type = "\x00" },
		"method 0: invalid: method must be one of [fa": func(r *verification.Result) { r.Methods[0].Method = "guess" },
		"method 0: invalid: verdict must be one of":    func(r *verification.Result) { r.Methods[0].Verdict = "" },
		"method 0: invalid: confidence must be":        func(r *verification.Result) { r.Methods[0].Confidence = -0.1 },
		"method 0: invalid: reasoning must be text":    func(r *verification.Result) { r.Methods[0].Reasoning = []string{"\x00"} },
		"method 0: invalid: processing_time must not":  func(r *verification.Result) { r.Methods[0].ProcessingTime = -1 },
		"method 0: invalid: evidence_count must be":    func(r *verification.Result) { r.Methods[0].EvidenceCount = -1 },
		"method 0: invalid: err must be text":          func(r *verification.Result) { r.Methods[0].Err = ptr("\x00") },
		"methods must not hold the NUL character":      func(r *verification.Result) { r.Methods[0].Metadata = map[string]any{"a": "\x00"} },
	} {
		_, err := c.SaveResult(ctx, result("r", func(r *verification.Result) {
			r.Supporting, r.Contradicting = []verification.Evidence{evidence("s")}, []verification.Evidence{evidence("c")}
			r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.Mixed}}
			change(r)
		}))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.Equal(t, requestRow{Status: "pending"}, progress(t, db, "r"))
	var results, pieces, counted int
	scan(t, ctx, db, "select (select count(*) from verification.results), (select count(*) from verification.evidence), (select count(*) from verification.method_runs)",
		&results, &pieces, &counted)
	require.Zero(t, results+pieces+counted)
}

func TestManyResultsAtOnce(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	const n = 30
	for i := range n {
		save(t, ctx, c, fmt.Sprint(i))
	}
	methods := []verification.MethodType{verification.FactChecking, verification.CrossReference, verification.LogicalValidation}
	const saved = 40 // the first ten have two results
	together(t, saved, func(i int) error {
		_, err := c.SaveResult(ctx, result(fmt.Sprint(i%n), func(r *verification.Result) {
			r.Supporting = []verification.Evidence{evidence("a"), evidence("b")}
			for k := range methods {
				r.Methods = append(r.Methods, verification.MethodResult{
					Method: methods[(i+k)%3], Verdict: verification.VerifiedTrue, ProcessingTime: time.Millisecond,
				})
			}
		}))
		return err
	})
	var rows int
	scan(t, ctx, db, "select count(*) from verification.results", &rows)
	require.Equal(t, saved, rows)
	for i := range n {
		got := stored(t, ctx, c, fmt.Sprint(i))
		require.Len(t, got.Supporting, 2)
		require.InDelta(t, 0.9, got.Confidence, 0.01)
	}
	for _, p := range performance(t, c, ctx) {
		switch p.Type {
		case verification.FactChecking, verification.CrossReference, verification.LogicalValidation:
			require.Equal(t, []int64{saved, saved, 0}, []int64{p.Total, p.Succeeded, p.Failed}, p.Type)
			require.Equal(t, time.Millisecond, p.AvgProcessingTime)
		default:
			require.Zero(t, p.Total)
		}
	}
}

func TestConsensusIsTheShareOfTheMethodsThatAgree(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	agree := verification.MethodResult{Method: verification.FactChecking, Verdict: verification.VerifiedTrue}
	differ := verification.MethodResult{Method: verification.CrossReference, Verdict: verification.Mixed}
	saveResult(t, ctx, c, result("r", func(r *verification.Result) {
		r.Verdict, r.Methods = verification.VerifiedTrue, []verification.MethodResult{agree, agree, agree, differ}
	}))
	require.InDelta(t, 0.75, *stored(t, ctx, c, "r").Consensus, 1e-12)
}
