package webnavigator

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentagency/onepool/modules/internal/batch"
	"github.com/agentagency/onepool/modules/internal/cachetable"
)

// PurgeResult is how much Purge deleted.
type PurgeResult struct {
	CacheRows   int64 `json:"cache_rows"`
	ContentRows int64 `json:"content_rows"`
}

const (
	unused = `
      not exists (select from web.cache k where k.tenant_id = c.tenant_id and k.content_id = c.id)
  and not exists (select from web.traversal_nodes n where n.tenant_id = c.tenant_id and n.content_id = c.id)`

	// The batch is of expired content, used or unused: the statement reads a bounded number of
	// rows even if all expired content is in use.
	lockUnusedSQL = `
with expired as materialized (
    select c.tenant_id, c.id, c.cached_until from web.contents c
    where c.cached_until <= now() and (c.cached_until, c.id) > (@at::timestamptz, @key::uuid)
    order by c.cached_until, c.id limit @limit::int
), locked as materialized (
    select c.id from expired x join web.contents c on c.tenant_id = x.tenant_id and c.id = x.id
    where c.cached_until <= now() and` + unused + ` for update of c skip locked
)
select (select count(*) from expired) as visited, (select coalesce(array_agg(id), '{}') from locked) as ids, l.at, coalesce(l.key, '') as key
from (select 1) o left join (select x.cached_until as at, x.id::text as key from expired x order by x.cached_until desc, x.id desc limit 1) l on true`

	deleteUnusedSQL = `delete from web.contents c where id = any(@ids::uuid[]) and` + unused
)

// CacheStats looks back a day.
var purgeCacheSQL = cachetable.PurgeSQL("web", "url", "old as (delete from web.cache_minutes where minute < now() - interval '25 hours'), ")

// Purge deletes the cache's expired entries. Then Purge deletes expired content, and the
// content's metrics, if neither the cache nor a traversal refers to the content. Purge works in
// batches of 5000 rows, and visits each row once. With an error Purge returns the counts of the
// earlier batches.
func (c *Client) Purge(ctx context.Context) (gone PurgeResult, err error) {
	gone.CacheRows, err = cachetable.Purge(ctx, c.db, purgeCacheSQL)
	if err == nil {
		gone.ContentRows, err = batch.Walk(ctx, batch.FirstUUID, nil, c.purgeContents)
	}
	return gone, wrap("purge", err)
}

// purgeContents locks content before a second check for references: before the lock a
// concurrent call may have added a reference, and would lose the content.
func (c *Client) purgeContents(ctx context.Context, args pgx.NamedArgs) (done batch.Done, err error) {
	err = c.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockUnusedSQL, args)
		if err != nil {
			return err
		}
		found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
			Visited int64
			IDs     [][16]byte `db:"ids"`
			At      pgtype.Timestamptz
			Key     string
		}])
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, deleteUnusedSQL, pgx.NamedArgs{"ids": found.IDs})
		done = batch.Done{Visited: found.Visited, Changed: tag.RowsAffected(), At: found.At, Key: found.Key}
		return err
	})
	return done, err
}
