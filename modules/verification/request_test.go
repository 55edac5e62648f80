package verification_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

func pending(t testing.TB, c *verification.Client) []verification.Request {
	t.Helper()
	all, err := c.Pending(as(t, "acme"), 1000)
	require.NoError(t, err)
	return all
}

func TestSaveRequestKeepsAllOfIt(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	want := verification.Request{
		ID: "r", Content: "is it so?", Source: ptr("https://example.org"), Context: ptr("they say"), Priority: verification.Critical,
		Timeout: 1500 * time.Millisecond, Types: []verification.MethodType{verification.SourceCredibility, verification.CrossReference},
		Metadata: map[string]any{"a": 1.0},
	}
	given := slices.Clone(want.Types)
	require.NoError(t, c.SaveRequest(ctx, want))
	require.True(t, slices.Equal(given, want.Types), "the caller's slice is not sorted")
	require.Equal(t, []verification.Request{want}, pending(t, c))
	_, err := c.Result(ctx, "r")
	require.ErrorIs(t, err, verification.ErrResultNotFound, "it has no result yet")
	var status, key string
	var retries, most int
	scan(t, ctx, db, "select status, cache_key, retry_count, max_retries from verification.requests", &status, &key, &retries, &most)
	require.Equal(t, []any{"pending", want.CacheKey(), 0, 3}, []any{status, key, retries, most})
	var found bool
	scan(t, ctx, db, "select content_vector @@ to_tsquery('english', 'say') from verification.requests", &found)
	require.True(t, found)

	require.NoError(t, c.SaveRequest(ctx, verification.Request{ID: "bare", Content: "x"}))
	require.Equal(t, verification.Request{
		ID: "bare", Content: "x", Priority: verification.Medium, Timeout: verification.DefaultTimeout,
		Types: []verification.MethodType{}, Metadata: map[string]any{},
	}, pending(t, c)[1])
	require.Equal(t, 30*time.Second, verification.DefaultTimeout)
}

// The same question may be asked twice, and long ones that begin alike are two.
func TestEqualContentsAreNoConflict(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	long := strings.Repeat("the same beginning ", 100)
	for i, content := range []string{"equal", "equal", long + "a", long + "b"} {
		require.NoError(t, c.SaveRequest(ctx, request(fmt.Sprint(i), func(r *verification.Request) { r.Content = content })))
	}
	together(t, 5, func(int) error { return c.SaveRequest(ctx, request("at once")) })
	together(t, 5, func(i int) error { return c.SaveRequest(ctx, request(fmt.Sprint("each ", i))) })
	require.Len(t, pending(t, c), 10)
}

func TestSaveRequestAgainWhileItIsPending(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r", "later")
	exec(t, ctx, db, "update verification.requests set retry_count = 2 where id = 'r'")
	var before, after time.Time
	scan(t, ctx, db, "select created_at from verification.requests where id = 'r'", &before)
	want := verification.Request{
		ID: "r", Content: "something else", Source: ptr("s"), Context: ptr("c"), Priority: verification.Medium, Timeout: time.Second,
		Types: []verification.MethodType{verification.InsufficientData}, Metadata: map[string]any{"k": "v"},
	}
	require.NoError(t, c.SaveRequest(ctx, want))
	require.Equal(t, want, pending(t, c)[0], "it keeps its place")
	var key string
	var retries int
	scan(t, ctx, db, "select created_at, cache_key, retry_count from verification.requests where id = 'r'", &after, &key, &retries)
	require.Equal(t, before, after)
	require.Equal(t, want.CacheKey(), key)
	require.Equal(t, 2, retries)

	for _, status := range []string{"processing", "completed", "failed", "cancelled"} {
		exec(t, ctx, db, "update verification.requests set status = '"+status+"' where id = 'r'")
		err := c.SaveRequest(ctx, request("r"))
		require.ErrorIs(t, err, verification.ErrStatus, status)
		require.ErrorIs(t, err, modules.ErrConflict)
		require.EqualError(t, err, "verification: save request: request is not pending any more: its status does not allow this")
		var content, now string
		scan(t, ctx, db, "select content, status from verification.requests where id = 'r'", &content, &now)
		require.Equal(t, "something else "+status, content+" "+now)
	}
}

func TestSaveRequestRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for must, change := range map[string]func(*verification.Request){
		"id must not be blank":                   func(r *verification.Request) { r.ID = "" },
		"id must be at most 255 bytes":           func(r *verification.Request) { r.ID = strings.Repeat("x", 256) },
		"content must not be blank":              func(r *verification.Request) { r.Content = " " },
		"source must be text":                    func(r *verification.Request) { r.Source = ptr("\x00") },
		"context must be text":                   func(r *verification.Request) { r.Context = ptr("\xff") },
		"priority must be one of [low medium hi": func(r *verification.Request) { r.Priority = "urgent" },
		"timeout must be whole milliseconds":     func(r *verification.Request) { r.Timeout = time.Millisecond - 1 },
		"types must be one of [fact_checking so": func(r *verification.Request) { r.Types = []verification.MethodType{verification.FactChecking, "guess"} },
		"metadata must not hold the NUL charact": func(r *verification.Request) { r.Metadata = map[string]any{"a": "\x00"} },
	} {
		err := c.SaveRequest(ctx, request("r", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.Empty(t, pending(t, c))
	require.NoError(t, c.SaveRequest(ctx, request("r", func(r *verification.Request) { r.Timeout = time.Millisecond })))
}

func TestPendingGoesByTheRankOfThePriority(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NotNil(t, pending(t, c))
	require.Empty(t, pending(t, c))
	for i, p := range []verification.Priority{verification.Low, verification.Medium, verification.High, verification.Critical, verification.High} {
		require.NoError(t, c.SaveRequest(ctx, request(fmt.Sprint(i), func(r *verification.Request) { r.Priority = p })))
	}
	require.NoError(t, c.SetRequestStatus(ctx, "1", verification.Processing, verification.StatusDetails{}))
	ids := func(all []verification.Request) (out []string) {
		for _, r := range all {
			out = append(out, r.ID)
		}
		return out
	}
	require.Equal(t, []string{"3", "2", "4", "0"}, ids(pending(t, c)))
	two, err := c.Pending(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"3", "2"}, ids(two))
	for _, limit := range []int{0, 1001} {
		_, err := c.Pending(ctx, limit)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, "limit must be from 1 to 1000")
	}
}

func TestCacheKeyIsOfTheQuestion(t *testing.T) {
	t.Parallel()
	base := request("r", func(r *verification.Request) {
		r.Types = []verification.MethodType{verification.CrossReference, verification.FactChecking}
	})
	// By hand: the SHA-256 of {"content":"the earth is round","source":null,"types":["cross_reference","fact_checking"]}.
	require.Equal(t, "ebdec135aff7344d3bf615c9f518d2433bbe7fdd316994e703acb952cf13a22c", base.CacheKey())
	same := []func(*verification.Request){
		func(r *verification.Request) { r.ID = "other" },
		func(r *verification.Request) { r.Context = ptr("c") },
		func(r *verification.Request) { r.Priority = verification.Critical },
		func(r *verification.Request) { r.Timeout = time.Hour },
		func(r *verification.Request) { r.Metadata = map[string]any{"a": 1} },
		func(r *verification.Request) {
			r.Types = []verification.MethodType{verification.FactChecking, verification.CrossReference}
		},
	}
	for i, change := range same {
		other := base
		change(&other)
		require.Equal(t, base.CacheKey(), other.CacheKey(), i)
	}
	other := []func(*verification.Request){
		func(r *verification.Request) { r.Content += "." },
		func(r *verification.Request) { r.Source = ptr("") },
		func(r *verification.Request) { r.Source = ptr("s") },
		func(r *verification.Request) { r.Types = r.Types[:1] },
		func(r *verification.Request) { r.Types = nil },
	}
	keys := map[string]bool{base.CacheKey(): true}
	for i, change := range other {
		next := base
		change(&next)
		require.False(t, keys[next.CacheKey()], i)
		keys[next.CacheKey()] = true
	}
}

func TestPendingGoesOnAfterARequest(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	var want []string
	for _, p := range []verification.Priority{verification.Critical, verification.Medium, verification.Low} {
		for i := range 3 {
			id := fmt.Sprint(p, i)
			require.NoError(t, c.SaveRequest(ctx, request(id, func(r *verification.Request) { r.Priority = p })))
			want = append(want, id)
		}
	}
	exec(t, ctx, db, "update verification.requests set created_at = timestamptz '2026-01-01' + right(id, 1)::int / 2 * interval '1 hour'")
	got := []string{}
	for after := []string{}; ; {
		page, err := c.Pending(ctx, 2, after...)
		require.NoError(t, err)
		for _, r := range page {
			got = append(got, r.ID)
		}
		if len(page) < 2 {
			break
		}
		after = []string{page[1].ID}
	}
	require.Equal(t, want, got)
	require.NoError(t, c.SetRequestStatus(ctx, want[3], verification.Processing, verification.StatusDetails{}))
	page, err := c.Pending(ctx, 1, want[3])
	require.NoError(t, err)
	require.Equal(t, want[4], page[0].ID)
	_, err = c.Pending(ctx, 1, "missing")
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	_, err = c.Pending(as(t, "globex"), 1, want[0])
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	_, err = c.Pending(ctx, 1, "\x00")
	require.ErrorIs(t, err, modules.ErrInvalid)
}
