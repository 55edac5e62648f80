package verification_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

func TestTheCacheAnswersTheSameQuestion(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	_, found, err := c.CacheGet(ctx, request("r"))
	require.NoError(t, err)
	require.False(t, found)

	at := time.Date(2024, 5, 4, 3, 2, 1, 123456789, time.UTC)
	want := verification.Result{
		RequestID: "r", Verdict: verification.Contradictory, Confidence: 1.0 / 3, Reasoning: []string{"a"},
		Supporting: []verification.Evidence{{
			ID: nobody, Source: "s", Content: "c", Relevance: 0.1, Credibility: 0.2, Supporting: true, Type: "primary",
			Method: ptr(verification.FactChecking), Title: ptr("t"), Publisher: ptr("p"), PublishedAt: &at, VerifiedAt: at, Metadata: map[string]any{"k": "v"},
		}},
		Methods: []verification.MethodResult{{
			Method: verification.FactChecking, Verdict: verification.Mixed, Confidence: 0.5, Reasoning: []string{"b"}, ProcessingTime: 7,
			EvidenceCount: 1, Err: ptr("e"), Metadata: map[string]any{"n": 1.0},
		}},
		ProcessingTime: 1234567, Error: ptr("e"), ErrorCode: ptr("c"), ID: nobody, EvidenceQuality: ptr(0.02), Consensus: ptr(1.0), CreatedAt: at,
	}
	require.NoError(t, c.CachePut(ctx, request("r"), want, time.Hour))
	got, found, err := c.CacheGet(ctx, request("another", func(r *verification.Request) { r.Priority = verification.Critical }))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, want, got)

	for name, other := range map[string]verification.Request{
		"another content": request("r", func(r *verification.Request) { r.Content = "the earth is flat" }),
		"another source":  request("r", func(r *verification.Request) { r.Source = ptr("s") }),
		"other types":     request("r", func(r *verification.Request) { r.Types = nil }),
	} {
		_, found, err := c.CacheGet(ctx, other)
		require.NoError(t, err)
		require.False(t, found, name)
	}
	_, found, err = c.CacheGet(as(t, "globex"), request("r"))
	require.NoError(t, err)
	require.False(t, found, "another tenant's cache")
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Positive(t, s.SizeBytes)
	require.Equal(t, verification.CacheStats{Entries: 1, SizeBytes: s.SizeBytes, Hits: 1, Misses: 4, HitRate: 0.2}, s)
	s, err = c.CacheStats(as(t, "initech"))
	require.NoError(t, err)
	require.Equal(t, verification.CacheStats{}, s)
}

func TestCachePutBeginsAnew(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.CachePut(ctx, request("r"), result("r"), time.Hour))
	_, _, err := c.CacheGet(ctx, request("r"))
	require.NoError(t, err)
	read := func() (data, hash string, size, accesses int64, created, accessed time.Time, left float64) {
		scan(t, ctx, db, `select result_data::text, result_hash, size_bytes, access_count, created_at, last_accessed_at,
			extract(epoch from expires_at - now())::float8 from verification.cache where cache_key = '`+request("r").CacheKey()+"'",
			&data, &hash, &size, &accesses, &created, &accessed, &left)
		return data, hash, size, accesses, created, accessed, left
	}
	_, before, sizeBefore, accesses, _, _, left := read()
	require.EqualValues(t, 1, accesses)
	require.InDelta(t, 3600, left, 60)
	require.Len(t, before, 64)
	exec(t, ctx, db, "update verification.cache set created_at = now() - interval '1 day', last_accessed_at = now() - interval '1 day'")
	require.NoError(t, c.CachePut(ctx, request("r"), result("r", func(r *verification.Result) { r.Reasoning = []string{"more to say"} }), 2*time.Hour))
	data, hash, size, accesses, created, accessed, left := read()
	require.Contains(t, data, "more to say")
	require.NotEqual(t, before, hash)
	require.Greater(t, size, sizeBefore)
	require.Zero(t, accesses, "a write is no access")
	require.WithinDuration(t, time.Now(), created, time.Minute)
	require.WithinDuration(t, time.Now(), accessed, time.Minute)
	require.InDelta(t, 7200, left, 60)
}

func TestTheCacheForgetsWhatExpired(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	old := request("r", func(r *verification.Request) { r.Content = "old" })
	require.NoError(t, c.CachePut(ctx, old, result("r"), time.Microsecond))
	require.NoError(t, c.CachePut(ctx, request("r"), result("r"), time.Hour))
	require.NoError(t, c.CachePut(as(t, "globex"), old, result("r"), time.Microsecond))
	_, found, err := c.CacheGet(ctx, old)
	require.NoError(t, err)
	require.False(t, found)
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Entries)
	n, err := c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	var theirs int
	scan(t, as(t, "globex"), db, "select count(*) from verification.cache", &theirs)
	require.Equal(t, 1, theirs)

	// More than one batch, and one that somebody holds.
	exec(t, ctx, db, `insert into verification.cache (cache_key, result_data, result_hash, expires_at, size_bytes)
		select lpad(g::text, 64, '0'), '1', repeat('0', 64), now(), 1 from generate_series(1, 11000) g`)
	tx, err := db.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "select from verification.cache where cache_key = lpad('1', 64, '0') for update")
	require.NoError(t, err)
	n, err = c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 10999, n)
	require.NoError(t, tx.Rollback(ctx))
	n, err = c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, found, err = c.CacheGet(ctx, request("r"))
	require.NoError(t, err)
	require.True(t, found)
}

func TestConcurrentGetsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.CachePut(ctx, request("r"), result("r"), time.Hour))
	together(t, 40, func(i int) error {
		_, found, err := c.CacheGet(ctx, request("r", func(r *verification.Request) {
			if i%4 == 0 {
				r.Content = "missing"
			}
		}))
		if err == nil && found == (i%4 == 0) {
			err = fmt.Errorf("found %d is %v", i, found)
		}
		return err
	})
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{30, 10}, []int64{s.Hits, s.Misses})
}

func TestTheCacheRefuses(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for must, err := range map[string]error{
		"ttl must be more than 0":             c.CachePut(ctx, request("r"), result("r"), 0),
		"ttl must be more":                    c.CachePut(ctx, request("r"), result("r"), -time.Second),
		"content must not be blank":           c.CachePut(ctx, verification.Request{}, result("r"), time.Hour),
		"verdict must be one of":              c.CachePut(ctx, request("r"), verification.Result{}, time.Hour),
		"result must be what JSON can hold":   c.CachePut(ctx, request("r"), result("r", func(r *verification.Result) { r.EvidenceQuality = ptr(math.NaN()) }), time.Hour),
		"result must not hold the NUL charac": c.CachePut(ctx, request("r"), result("r", func(r *verification.Result) { r.RequestID = "\x00" }), time.Hour),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	_, found, err := c.CacheGet(ctx, verification.Request{})
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.False(t, found)

	// What another program left there is an error, not a result.
	exec(t, ctx, db, `insert into verification.cache (cache_key, result_data, result_hash, expires_at, size_bytes)
		values ('`+request("r").CacheKey()+`', '"no result"', repeat('0', 64), now() + interval '1 hour', 1)`)
	_, found, err = c.CacheGet(ctx, request("r"))
	require.ErrorContains(t, err, "verification: cache get: ")
	require.False(t, found)
}
