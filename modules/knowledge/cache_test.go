package knowledge_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestCacheReturnsWhatWasPut(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	_, found, err := c.CacheGet(ctx, "k")
	require.NoError(t, err)
	require.False(t, found)
	long := strings.Repeat("long key ", 20)
	for key, content := range map[string]string{"k": `{"a": [1, 2]}`, "array": `[1, "x"]`, "null": `null`, "text": `"\\u0000"`, long: `1`} {
		require.NoError(t, c.CachePut(ctx, key, json.RawMessage(content), time.Hour, ""))
		got, found, err := c.CacheGet(ctx, key)
		require.NoError(t, err)
		require.True(t, found)
		require.JSONEq(t, content, string(got))
	}
	_, found, err = c.CacheGet(as(t, "globex"), "k")
	require.NoError(t, err)
	require.False(t, found, "another tenant's cache")
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{Entries: 5, SizeBytes: 13 + 8 + 4 + 9 + 1, Hits: 5, Misses: 1, HitRate: 5.0 / 6}, s)
	s, err = c.CacheStats(as(t, "globex"))
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{Misses: 1}, s)
	s, err = c.CacheStats(as(t, "initech"))
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{}, s)

	// Putting again begins anew.
	exec(t, ctx, db, "update knowledge.cache set created_at = now() - interval '1 day', last_accessed_at = now() - interval '1 day'")
	require.NoError(t, c.CachePut(ctx, "k", json.RawMessage(`{}`), time.Hour, knowledge.CacheResponse))
	var kind string
	var accesses, size int64
	var created, accessed time.Time
	scan(t, ctx, db, "select cache_type, access_count, size_bytes, created_at, last_accessed_at from knowledge.cache where cache_key = 'k'",
		&kind, &accesses, &size, &created, &accessed)
	require.Equal(t, "response", kind)
	require.Zero(t, accesses)
	require.EqualValues(t, 2, size)
	require.WithinDuration(t, time.Now(), created, time.Minute)
	require.WithinDuration(t, time.Now(), accessed, time.Minute)
}

func TestCacheForgetsWhatExpired(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.CachePut(ctx, "old", json.RawMessage(`1`), time.Microsecond, ""))
	require.NoError(t, c.CachePut(ctx, "new", json.RawMessage(`1`), time.Hour, ""))
	require.NoError(t, c.CachePut(as(t, "globex"), "old", json.RawMessage(`1`), time.Microsecond, ""))
	_, found, err := c.CacheGet(ctx, "old")
	require.NoError(t, err)
	require.False(t, found)
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Entries)
	n, err := c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	n, err = c.CachePurge(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	var theirs int
	scan(t, as(t, "globex"), db, "select count(*) from knowledge.cache", &theirs)
	require.Equal(t, 1, theirs)

	// More than one batch.
	exec(t, ctx, db, "insert into knowledge.cache (cache_key, content, expires_at, size_bytes) select 'k' || g, '1', now(), 1 from generate_series(1, 11000) g")
	n, err = c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 11000, n)
	_, found, err = c.CacheGet(ctx, "new")
	require.NoError(t, err)
	require.True(t, found)
}

func TestCacheRefuses(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	ok := json.RawMessage(`{}`)
	for must, err := range map[string]error{
		"ttl must be more than 0":         c.CachePut(ctx, "k", ok, 0, ""),
		"ttl must be":                     c.CachePut(ctx, "k", ok, -time.Second, ""),
		"key must not be blank":           c.CachePut(ctx, "", ok, time.Hour, ""),
		"kind must be one of":             c.CachePut(ctx, "k", ok, time.Hour, "x"),
		"content must be valid JSON":      c.CachePut(ctx, "k", json.RawMessage(`{`), time.Hour, ""),
		"content must be valid":           c.CachePut(ctx, "k", nil, time.Hour, ""),
		"content must be valid JSON in":   c.CachePut(ctx, "k", json.RawMessage("\"\xff\""), time.Hour, ""),
		"content must not hold the NUL":   c.CachePut(ctx, "k", json.RawMessage(`{"a": "\\\u0000"}`), time.Hour, ""),
		"content must have no number bey": c.CachePut(ctx, "k", json.RawMessage(`1e400000`), time.Hour, ""),
		"content must not hold the NUL c": c.CachePut(ctx, "k", json.RawMessage(`["\u0000"]`), time.Hour, ""),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	_, _, err := c.CacheGet(ctx, " ")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestConcurrentGetsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for i := range 3 {
		require.NoError(t, c.CachePut(ctx, fmt.Sprint("k", i), json.RawMessage(`1`), time.Hour, ""))
	}
	together(t, 60, func(i int) error { _, _, err := c.CacheGet(ctx, fmt.Sprint("k", i%4)); return err })
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 45, s.Hits)
	require.EqualValues(t, 15, s.Misses)
	require.InDelta(t, 0.75, s.HitRate, 1e-9)
	var accesses int
	scan(t, ctx, db, "select sum(access_count) from knowledge.cache", &accesses)
	require.Equal(t, 45, accesses)
}
