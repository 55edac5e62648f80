package verification_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

// performance is what the runs of no tenant came to, and those of the tenant in a context.
func performance(t testing.TB, c *verification.Client, as ...context.Context) []verification.MethodPerformance {
	t.Helper()
	all, err := c.MethodPerformance(append(as, t.Context())[0])
	require.NoError(t, err)
	return all
}

func method(t testing.TB, c *verification.Client, kind verification.MethodType, as ...context.Context) verification.MethodPerformance {
	t.Helper()
	for _, p := range performance(t, c, as...) {
		if p.Type == kind {
			return p
		}
	}
	require.Fail(t, "no such method", kind)
	return verification.MethodPerformance{}
}

func TestTheMethodsAreThere(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	var got []string
	for _, p := range performance(t, c) {
		got = append(got, fmt.Sprint(p.Priority, " ", p.Type, " ", p.Timeout, " ", p.Enabled, " ", p.Config))
		require.Equal(t, verification.MethodPerformance{
			Type: p.Type, Enabled: p.Enabled, Priority: p.Priority, Timeout: p.Timeout, Config: p.Config,
		}, p, "without a run there are no figures")
	}
	require.Equal(t, []string{
		"1 fact_checking 10s true map[]", "2 source_credibility 5s true map[]", "3 cross_reference 15s true map[max_sources:5 min_consensus:0.7]",
		"4 consistency_check 8s true map[]", "5 logical_validation 12s true map[]", "6 statistical_validation 10s true map[]",
		"10 insufficient_data 1s false map[]",
	}, got)
}

func TestRunsAreAdded(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	record := func(run verification.MethodRun) verification.MethodPerformance {
		t.Helper()
		require.NoError(t, c.RecordMethodRun(t.Context(), verification.LogicalValidation, run))
		return method(t, c, verification.LogicalValidation)
	}
	got := record(verification.MethodRun{Duration: 100 * time.Millisecond, Err: ptr("first")})
	require.WithinDuration(t, time.Now(), *got.LastUsedAt, time.Minute)
	want := verification.MethodPerformance{
		Type: verification.LogicalValidation, Enabled: true, Priority: 5, Timeout: 12 * time.Second, Config: map[string]any{},
		Total: 1, Failed: 1, AvgProcessingTime: 100 * time.Millisecond, LastUsedAt: got.LastUsedAt, LastErrorAt: got.LastUsedAt, LastError: ptr("first"),
	}
	require.Equal(t, want, got)
	got = record(verification.MethodRun{Success: true, Duration: 200 * time.Millisecond})
	require.True(t, got.LastUsedAt.After(*want.LastUsedAt))
	want.Total, want.Succeeded, want.SuccessRate, want.AvgProcessingTime, want.LastUsedAt = 2, 1, 0.5, 150*time.Millisecond, got.LastUsedAt
	require.Equal(t, want, got, "a success does not wipe the last error")
	got = record(verification.MethodRun{Success: false, Duration: 0, Err: ptr("second")})
	want.Total, want.Failed, want.SuccessRate, want.AvgProcessingTime = 3, 2, 1.0/3, 100*time.Millisecond
	want.LastUsedAt, want.LastErrorAt, want.LastError = got.LastUsedAt, got.LastUsedAt, ptr("second")
	require.Equal(t, want, got)
	require.Nil(t, got.Accuracy, "success is not accuracy")
	require.Zero(t, method(t, c, verification.FactChecking).Total)
}

func TestConcurrentRunsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	together(t, 50, func(i int) error {
		return c.RecordMethodRun(t.Context(), verification.FactChecking, verification.MethodRun{Success: i%5 != 0, Duration: time.Second})
	})
	got := method(t, c, verification.FactChecking)
	require.Equal(t, []int64{50, 40, 10}, []int64{got.Total, got.Succeeded, got.Failed})
	require.InDelta(t, 0.8, got.SuccessRate, 1e-12)
	require.Equal(t, time.Second, got.AvgProcessingTime)
}

// A result counts each of its methods, those that came twice twice.
func TestResultsCountTheirMethods(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	run := func(kind verification.MethodType, d time.Duration, errs ...string) verification.MethodResult {
		m := verification.MethodResult{Method: kind, Verdict: verification.Mixed, ProcessingTime: d}
		for _, text := range errs {
			m.Err = &text
		}
		return m
	}
	saveResult(t, ctx, c, result("r", func(r *verification.Result) {
		r.Methods = []verification.MethodResult{
			run(verification.FactChecking, 300*time.Millisecond), run(verification.FactChecking, 100*time.Millisecond, "first"),
			run(verification.ConsistencyCheck, 5*time.Millisecond), run(verification.FactChecking, 200*time.Millisecond, "last"),
		}
	}))
	got := method(t, c, verification.FactChecking, ctx)
	require.Equal(t, []int64{3, 1, 2}, []int64{got.Total, got.Succeeded, got.Failed})
	require.Equal(t, 200*time.Millisecond, got.AvgProcessingTime)
	require.Equal(t, "last", *got.LastError)
	require.NotNil(t, got.LastErrorAt)
	added := method(t, c, verification.ConsistencyCheck, ctx)
	require.EqualValues(t, 1, added.Total)
	require.Nil(t, added.LastErrorAt)
	for i := range 5 {
		save(t, ctx, c, fmt.Sprint(i))
		saveResult(t, ctx, c, result(fmt.Sprint(i), func(r *verification.Result) {
			r.Methods = []verification.MethodResult{run(verification.FactChecking, time.Millisecond)}
		}))
	}
	got = method(t, c, verification.FactChecking, ctx)
	require.EqualValues(t, 8, got.Total)
	require.Equal(t, "last", *got.LastError)
	require.Positive(t, got.SuccessRate)
}

// A tenant reads its own runs and those of nobody, with the later error of the two.
func TestATenantsRunsAreTheTenantsAlone(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	acme, globex := as(t, "acme"), as(t, "globex")
	run := func(ctx context.Context, text string) {
		t.Helper()
		require.NoError(t, c.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{Duration: time.Second, Err: &text}))
	}
	run(acme, "acme's patient")
	run(t.Context(), "the source is down")
	save(t, acme, c, "r")
	saveResult(t, acme, c, result("r", func(r *verification.Result) {
		r.Methods = []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.VerdictError, Err: ptr("acme's other patient")}}
	}))
	for who, want := range map[context.Context]struct {
		total int64
		text  string
	}{acme: {3, "acme's other patient"}, globex: {1, "the source is down"}, t.Context(): {1, "the source is down"}} {
		got := method(t, c, verification.FactChecking, who)
		require.Equal(t, want.total, got.Failed)
		require.Equal(t, want.total, got.Total)
		require.Equal(t, want.text, *got.LastError)
	}
	run(t.Context(), "down again")
	require.Equal(t, "down again", *method(t, c, verification.FactChecking, acme).LastError)
	require.Equal(t, "down again", *method(t, c, verification.FactChecking, globex).LastError)
}

func TestSetMethodChangesWhatThePatchNames(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	require.NoError(t, c.RecordMethodRun(t.Context(), verification.CrossReference, verification.MethodRun{Success: true}))
	want := method(t, c, verification.CrossReference)
	set := func(p verification.MethodPatch) {
		t.Helper()
		require.NoError(t, c.SetMethod(t.Context(), verification.CrossReference, p))
		require.Equal(t, want, method(t, c, verification.CrossReference))
	}
	set(verification.MethodPatch{})
	want.Enabled, want.Priority, want.Timeout, want.Config = false, 10, time.Millisecond, map[string]any{"a": "b"}
	set(verification.MethodPatch{Enabled: ptr(false), Priority: ptr(10), Timeout: ptr(time.Millisecond), Config: map[string]any{"a": "b"}})
	want.Accuracy, want.FalsePositiveRate, want.Precision, want.Recall = ptr(0.0), ptr(0.25), ptr(0.5), ptr(1.0)
	set(verification.MethodPatch{Accuracy: ptr(0.0), FalsePositiveRate: ptr(0.25), Precision: ptr(0.5), Recall: ptr(1.0)})
	want.Enabled, want.Priority, want.Config = true, 1, map[string]any{}
	set(verification.MethodPatch{Enabled: ptr(true), Priority: ptr(1), Config: map[string]any{}})

	// A method without a row gets one, with defaults.
	exec(t, t.Context(), db, "delete from verification.methods")
	require.NoError(t, c.SetMethod(t.Context(), verification.CrossReference, verification.MethodPatch{Recall: ptr(0.5)}))
	require.Equal(t, []verification.MethodPerformance{{
		Type: verification.CrossReference, Enabled: true, Priority: 1, Timeout: 10 * time.Second, Config: map[string]any{}, Recall: ptr(0.5),
	}}, performance(t, c))
	require.NoError(t, c.SetMethod(t.Context(), verification.FactChecking, verification.MethodPatch{
		Enabled: ptr(false), Priority: ptr(2), Timeout: ptr(time.Second), Config: map[string]any{"a": 1.0}, Accuracy: ptr(0.1),
		FalsePositiveRate: ptr(0.2), Precision: ptr(0.3), Recall: ptr(0.4),
	}))
	require.Equal(t, verification.MethodPerformance{
		Type: verification.FactChecking, Priority: 2, Timeout: time.Second, Config: map[string]any{"a": 1.0}, Accuracy: ptr(0.1),
		FalsePositiveRate: ptr(0.2), Precision: ptr(0.3), Recall: ptr(0.4),
	}, method(t, c, verification.FactChecking))
}

// Among methods of one priority the name decides.
func TestMethodsAreInOrder(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	require.NoError(t, c.SetMethod(t.Context(), verification.StatisticalValidation, verification.MethodPatch{Priority: ptr(3)}))
	require.NoError(t, c.SetMethod(t.Context(), verification.ConsistencyCheck, verification.MethodPatch{Priority: ptr(3)}))
	var got []verification.MethodType
	for _, p := range performance(t, c) {
		got = append(got, p.Type)
	}
	require.Equal(t, []verification.MethodType{
		verification.FactChecking, verification.SourceCredibility, verification.ConsistencyCheck, verification.CrossReference,
		verification.StatisticalValidation, verification.LogicalValidation, verification.InsufficientData,
	}, got)
}

func TestMethodsRefuse(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := t.Context()
	for must, err := range map[string]error{
		"method must be one of [fact_checking so": c.RecordMethodRun(ctx, "guess", verification.MethodRun{}),
		"duration must not be negative":           c.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{Duration: -1}),
		"err must be text":                        c.RecordMethodRun(ctx, verification.FactChecking, verification.MethodRun{Err: ptr("\x00")}),
		"method must be one of [fact":             c.SetMethod(ctx, "", verification.MethodPatch{}),
		"priority must be from 1 to 10":           c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Priority: ptr(11)}),
		"priority must be from 1 to":              c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Priority: ptr(0)}),
		"timeout must be at least 1ms":            c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Timeout: ptr(time.Millisecond - 1)}),
		"config must be what JSON can hold":       c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Config: map[string]any{"a": math.NaN()}}),
		"accuracy must be from 0 to 1":            c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Accuracy: ptr(1.1)}),
		"false_positive_rate must be from 0 to 1": c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{FalsePositiveRate: ptr(-0.1)}),
		"precision must be from 0 to 1":           c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Precision: ptr(math.NaN())}),
		"recall must be from 0 to 1":              c.SetMethod(ctx, verification.FactChecking, verification.MethodPatch{Recall: ptr(2.0)}),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.Zero(t, method(t, c, verification.FactChecking).Total)
}
