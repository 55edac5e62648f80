package webnavigator

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/cachetable"
)

const cachePutSQL = `
insert into web.cache (url, content_id, expires_at, cache_size_bytes)
select @url::text, id, now() + @ttl::interval, content_size_bytes from web.contents where id = @content_id::uuid
on conflict (tenant_id, url) do update set
    content_id = excluded.content_id, cached_at = now(), expires_at = excluded.expires_at,
    cache_size_bytes = excluded.cache_size_bytes, hit_count = 0, last_accessed = now()`

// CachePut makes GetByURL return the content for ttl, in place of an earlier entry. A ttl of 0
// is DefaultTTL. Missing content is an ErrUnknownContent.
func (c *Client) CachePut(ctx context.Context, url, contentID string, ttl time.Duration) error {
	err := modules.FirstError(checkURL("url", url), modules.CheckUUID("content_id", contentID), modules.Check("ttl", "must not be negative", ttl >= 0),
		modules.CheckDuration("ttl", ttl))
	if err != nil {
		return wrap("cache put", err)
	}
	tag, err := c.db.Exec(ctx, cachePutSQL, pgx.NamedArgs{"url": url, "content_id": contentID, "ttl": cmp.Or(ttl, DefaultTTL)})
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrUnknownContent
	}
	return wrap("cache put", err)
}

// PurgeResult is how much Purge deleted.
type PurgeResult struct {
	CacheRows   int64 `json:"cache_rows"`
	ContentRows int64 `json:"content_rows"`
}

const (
	unused = `
      not exists (select from web.cache k where k.tenant_id = c.tenant_id and k.content_id = c.id)
  and not exists (select from web.traversal_nodes n where n.tenant_id = c.tenant_id and n.content_id = c.id)`

	lockUnusedSQL   = `select id from web.contents c where cached_until <= now() and` + unused + ` limit @limit::int for update skip locked`
	deleteUnusedSQL = `delete from web.contents c where id = any(@ids::uuid[]) and` + unused
)

var purgeCacheSQL = cachetable.PurgeSQL("web", "url")

// Purge deletes the cache's expired entries. Then Purge deletes expired content, and the
// content's metrics, if neither the cache nor a traversal refers to the content. Purge works in
// batches of 5000 rows. With an error Purge returns the counts of the earlier batches.
func (c *Client) Purge(ctx context.Context) (gone PurgeResult, err error) {
	gone.CacheRows, err = cachetable.Purge(ctx, c.db, purgeCacheSQL)
	if err == nil {
		gone.ContentRows, err = modules.Purge(ctx, c.purgeContents)
	}
	return gone, wrap("purge", err)
}

// purgeContents locks content before a second check for references: before the lock a
// concurrent call may have added a reference, and would lose the content.
func (c *Client) purgeContents(ctx context.Context, limit int) (n int64, err error) {
	err = c.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockUnusedSQL, pgx.NamedArgs{"limit": limit})
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, deleteUnusedSQL, pgx.NamedArgs{"ids": ids})
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// CacheStats are figures over a tenant's live cache.
type CacheStats struct {
	modules.CacheStats
	Age Age `json:"age"`
}

// Age counts entries by the time since the store in the cache. An entry under an hour counts as
// under six hours too.
type Age struct {
	Under1h  int64 `json:"under_1h"`
	Under6h  int64 `json:"under_6h"`
	Under12h int64 `json:"under_12h"`
	Under24h int64 `json:"under_24h"`
}

const cacheStatsSQL = `
select live.*, ` + cachetable.CountersSQL + `
from (select count(*) as entries, coalesce(sum(cache_size_bytes), 0)::bigint as size_bytes,
             count(*) filter (where cached_at > now() - interval '1 hour')   as under_1h,
             count(*) filter (where cached_at > now() - interval '6 hours')  as under_6h,
             count(*) filter (where cached_at > now() - interval '12 hours') as under_12h,
             count(*) filter (where cached_at > now() - interval '24 hours') as under_24h
      from web.cache where expires_at > now()) live
left join web.cache_counters c on true`

// CacheStats returns the figures of the tenant's cache.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	row, err := modules.One[struct {
		modules.CacheStats
		Age
	}](ctx, c.db, cacheStatsSQL, nil)
	return CacheStats{row.CacheStats, row.Age}, wrap("cache stats", err)
}
