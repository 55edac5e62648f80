package knowledge

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/cachetable"
	"github.com/agentagency/onepool/modules/internal/check"
)

// CacheStats are figures over a tenant's cache.
type CacheStats = modules.CacheStats

var cache = cachetable.New("knowledge", "content", "cache_type")

func checkKey(key string) error {
	return check.First(check.Text("key", key, math.MaxInt32), check.Segment("key", key))
}

// CacheGet returns the JSON that CachePut stored under key, equal but not necessarily spelled
// the same. CacheGet returns false, and no error, if the cache has no entry or the entry has
// expired. CacheGet counts a hit or a miss.
func (c *Client) CacheGet(ctx context.Context, key string) (json.RawMessage, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, wrap("cache get", err)
	}
	content, found, err := cache.Get(ctx, c.db, cachetable.Key(key))
	if !found {
		return nil, false, wrap("cache get", err)
	}
	return json.RawMessage(content), true, nil
}

// CachePut stores JSON under key for ttl, in place of an existing entry. ttl must be more than
// 0. kind is CacheQueryResult when empty. Keys of 64 bytes and more are kept as their SHA-256.
func (c *Client) CachePut(ctx context.Context, key string, content json.RawMessage, ttl time.Duration, kind CacheType) error {
	kind = cmp.Or(kind, CacheQueryResult)
	err := check.First(checkKey(key), check.JSON("content", content), check.That("ttl", "must be more than 0", ttl > 0),
		check.Duration("ttl", ttl), check.Enum("kind", kind, cacheTypes))
	if err != nil {
		return wrap("cache put", err)
	}
	err = cache.Put(ctx, c.db, cachetable.Key(key), string(content), ttl, pgx.NamedArgs{"cache_type": string(kind)})
	return wrap("cache put", err)
}

// CachePurge deletes expired entries, 5000 at a time, and returns the count. With an error
// CachePurge returns the count of the earlier batches.
func (c *Client) CachePurge(ctx context.Context) (int64, error) {
	n, err := cache.Purge(ctx, c.db)
	return n, wrap("cache purge", err)
}

// CacheStats returns the figures of the tenant's cache.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := cache.Stats(ctx, c.db)
	return s, wrap("cache stats", err)
}
