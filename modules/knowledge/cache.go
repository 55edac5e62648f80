package knowledge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// CacheStats are figures over a tenant's cache.
type CacheStats = modules.CacheStats

var cacheGetSQL = `
with hit as (
    update knowledge.cache set access_count = access_count + 1, last_accessed_at = now()
    where cache_key = @key and expires_at > now()
    returning content
), ` + modules.CacheCountSQL("knowledge.cache_counters", "hit") + `
select content::text from hit`

func checkKey(key string) error { return modules.CheckText("key", key, math.MaxInt32) }

// CacheGet returns what CachePut stored under key, as JSON that is equal but need
// not be spelled the same. It returns false, and no error, when there is nothing
// or it has expired. It counts a hit or a miss.
func (c *Client) CacheGet(ctx context.Context, key string) (json.RawMessage, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, wrap("cache get", err)
	}
	content, err := modules.Value[string](ctx, c.db, cacheGetSQL, pgx.NamedArgs{"key": modules.CacheKey(key)})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap("cache get", err)
	}
	return json.RawMessage(content), true, nil
}

const cachePutSQL = `
insert into knowledge.cache (cache_key, cache_type, content, expires_at, size_bytes)
values (@key, @type, @content::jsonb, now() + @ttl::interval, @size::bigint)
on conflict (tenant_id, cache_key) do update set
    cache_type = excluded.cache_type, content = excluded.content, metadata = excluded.metadata, size_bytes = excluded.size_bytes,
    created_at = now(), expires_at = excluded.expires_at, access_count = 0, last_accessed_at = now()`

// CachePut stores JSON under key for as long as ttl, which must be more than 0,
// in place of what was there. kind is CacheQueryResult when empty. Keys of more
// than 64 bytes are kept as their SHA-256.
func (c *Client) CachePut(ctx context.Context, key string, content json.RawMessage, ttl time.Duration, kind CacheType) error {
	kind = cmp.Or(kind, CacheQueryResult)
	err := modules.FirstError(checkKey(key), modules.CheckJSON("content", content), modules.Check("ttl", "must be more than 0", ttl > 0), modules.CheckEnum("kind", kind, cacheTypes))
	if err != nil {
		return wrap("cache put", err)
	}
	_, err = c.db.Exec(ctx, cachePutSQL, pgx.NamedArgs{
		"key": modules.CacheKey(key), "type": kind, "content": string(content), "ttl": ttl, "size": len(content),
	})
	return wrap("cache put", err)
}

// A row that somebody writes at this moment is left to the next purge.
const cachePurgeSQL = `
with gone as materialized (
    select tenant_id, cache_key from knowledge.cache where expires_at <= now() limit @limit::int for update skip locked
)
delete from knowledge.cache c using gone where c.tenant_id = gone.tenant_id and c.cache_key = gone.cache_key`

// CachePurge deletes what has expired, 5000 at a time, and returns how many went.
// With an error it returns those of the batches before it.
func (c *Client) CachePurge(ctx context.Context) (int64, error) {
	n, err := modules.Purge(ctx, func(ctx context.Context, limit int) (int64, error) {
		tag, err := c.db.Exec(ctx, cachePurgeSQL, pgx.NamedArgs{"limit": limit})
		return tag.RowsAffected(), err
	})
	return n, wrap("cache purge", err)
}

const cacheStatsSQL = `
select live.entries, live.size_bytes, ` + modules.CacheCountersSQL + `
from (select count(*) as entries, coalesce(sum(size_bytes), 0)::bigint as size_bytes from knowledge.cache where expires_at > now()) live
left join knowledge.cache_counters c on true`

// CacheStats returns the figures of the tenant's cache.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := modules.One[CacheStats](ctx, c.db, cacheStatsSQL, nil)
	return s, wrap("cache stats", err)
}
