package webnavigator

import (
	"context"
	"fmt"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/cachetable"
	"github.com/agentagency/onepool/modules/internal/store"
)

// CacheStats are figures over a tenant's live cache. The database counts with each change, and
// the figures are exact.
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

// ageSQL counts the live entries of the last hours: the counts of whole minutes, the entries of
// the minute in which the age begins, and less the expired entries that no purge has deleted yet.
func ageSQL(hours int) string {
	return fmt.Sprintf(`,
       ((select coalesce(sum(m.entries), 0) from web.cache_minutes m
         where m.minute > date_trunc('minute', now() - interval '%[1]d hours'))
        + (select count(*) from web.cache k where k.cached_at > now() - interval '%[1]d hours'
           and k.cached_at < date_trunc('minute', now() - interval '%[1]d hours') + interval '1 minute')
        - x.under_%[1]dh)::bigint as under_%[1]dh`, hours)
}

var cacheStatsSQL = cachetable.StatsSQL("web", "cache_size_bytes", ageSQL(1)+ageSQL(6)+ageSQL(12)+ageSQL(24), `,
             count(*) filter (where cached_at > now() - interval '1 hour')   as under_1h,
             count(*) filter (where cached_at > now() - interval '6 hours')  as under_6h,
             count(*) filter (where cached_at > now() - interval '12 hours') as under_12h,
             count(*) filter (where cached_at > now() - interval '24 hours') as under_24h`)

// CacheStats returns the figures of the tenant's cache. The cost grows with the expired entries
// that Purge has not deleted yet.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	row, err := store.One[struct {
		modules.CacheStats
		Age
	}](ctx, c.db, cacheStatsSQL, nil)
	return CacheStats{row.CacheStats, row.Age}, wrap("cache stats", err)
}
