package verification

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// CacheStats are figures over a tenant's cache.
type CacheStats = modules.CacheStats

var cacheGetSQL = `
with hit as (
    update verification.cache set access_count = access_count + 1, last_accessed_at = now()
    where cache_key = @key and expires_at > now()
    returning result_data
), ` + modules.CacheCountSQL("verification.cache_counters", "hit") + `
select result_data::text from hit`

// CacheGet returns the result that CachePut stored for a request with r's content,
// source and types; r's other fields don't matter. It returns false, and no error,
// when there is none or it has expired. It counts a hit or a miss.
func (c *Client) CacheGet(ctx context.Context, r Request) (Result, bool, error) {
	if err := r.validateQuestion(); err != nil {
		return Result{}, false, wrap("cache get", err)
	}
	raw, err := modules.Value[string](ctx, c.db, cacheGetSQL, pgx.NamedArgs{"key": r.CacheKey()})
	if errors.Is(err, pgx.ErrNoRows) {
		return Result{}, false, nil
	}
	var out Result
	if err == nil {
		err = json.Unmarshal([]byte(raw), &out)
	}
	return out, err == nil, wrap("cache get", err)
}

const cachePutSQL = `
insert into verification.cache (cache_key, result_data, result_hash, expires_at, size_bytes)
values (@key, @data::text::jsonb, @hash, now() + @ttl::interval, @size::bigint)
on conflict (tenant_id, cache_key) do update set
    result_data = excluded.result_data, result_hash = excluded.result_hash, size_bytes = excluded.size_bytes,
    created_at = now(), expires_at = excluded.expires_at, access_count = 0, last_accessed_at = now()`

// CachePut stores a result for as long as ttl, which must be more than 0, in place
// of what was there. CacheGet finds it for requests with r's content, source and
// types.
func (c *Client) CachePut(ctx context.Context, r Request, result Result, ttl time.Duration) error {
	data, err := modules.EncodeJSON("result", result)
	err = modules.FirstError(r.validateQuestion(), result.validate(), err, modules.Check("ttl", "must be more than 0", ttl > 0))
	if err != nil {
		return wrap("cache put", err)
	}
	sum := sha256.Sum256([]byte(data))
	_, err = c.db.Exec(ctx, cachePutSQL, pgx.NamedArgs{
		"key": r.CacheKey(), "data": data, "hash": hex.EncodeToString(sum[:]), "ttl": ttl, "size": len(data),
	})
	return wrap("cache put", err)
}

// A row that somebody writes at this moment is left to the next purge.
const cachePurgeSQL = `
with gone as materialized (
    select tenant_id, cache_key from verification.cache where expires_at <= now() limit @limit::int for update skip locked
)
delete from verification.cache c using gone where c.tenant_id = gone.tenant_id and c.cache_key = gone.cache_key`

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
from (select count(*) as entries, coalesce(sum(size_bytes), 0)::bigint as size_bytes from verification.cache where expires_at > now()) live
left join verification.cache_counters c on true`

// CacheStats returns the figures of the tenant's cache.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := modules.One[CacheStats](ctx, c.db, cacheStatsSQL, nil)
	return s, wrap("cache stats", err)
}
