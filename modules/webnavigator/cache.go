package webnavigator

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
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
	err := check.First(checkURL("url", url), check.UUID("content_id", contentID), check.That("ttl", "must not be negative", ttl >= 0),
		check.Duration("ttl", ttl))
	if err != nil {
		return wrap("cache put", err)
	}
	tag, err := c.db.Exec(ctx, cachePutSQL, pgx.NamedArgs{"url": url, "content_id": contentID, "ttl": cmp.Or(ttl, DefaultTTL)})
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrUnknownContent
	}
	return wrap("cache put", err)
}
