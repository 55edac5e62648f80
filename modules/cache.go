package modules

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// CacheStats are figures over a tenant's cache: its live entries, and the hits
// and misses since it was first asked.
type CacheStats struct {
	Entries   int64   `json:"entries"`
	SizeBytes int64   `json:"size_bytes"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`
	HitRate   float64 `json:"hit_rate"` // hits / (hits + misses), 0 when there were none
}

// CacheKeyLimit is the longest key that a cache keeps as it is, in bytes.
const CacheKeyLimit = 64

// CacheKey returns the key as a cache keeps it: one of more than CacheKeyLimit
// bytes becomes its SHA-256 in hex.
func CacheKey(key string) string {
	if len(key) <= CacheKeyLimit {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// CacheCountSQL returns a common table expression that counts a hit when the
// expression named hit has a row, and a miss else. counters is a table with the
// columns tenant_id (its key, with a default), hits and misses. Its row is locked
// after that of the hit, in every statement, so that there is no deadlock.
func CacheCountSQL(counters, hit string) string {
	return fmt.Sprintf(`counted as (
    insert into %s as c (hits, misses)
    select h.n, 1 - h.n from (select least(count(*), 1) as n from %s) h
    on conflict (tenant_id) do update set hits = c.hits + excluded.hits, misses = c.misses + excluded.misses
)`, counters, hit)
}

// CacheCountersSQL are the columns hits, misses and hit_rate of a select that has
// the counters' row, or none, as c.
const CacheCountersSQL = `coalesce(c.hits, 0) as hits, coalesce(c.misses, 0) as misses,
       coalesce(c.hits::float8 / nullif(c.hits + c.misses, 0), 0) as hit_rate`

// purgeBatch is how many rows a statement of Purge deletes at most, so that none
// takes long or holds many locks.
const purgeBatch = 5000

// Purge calls remove until it deletes fewer rows than its limit, and returns how
// many went. Each call commits: with an error the count is of those before it.
func Purge(ctx context.Context, remove func(ctx context.Context, limit int) (int64, error)) (int64, error) {
	var total int64
	for {
		n, err := remove(ctx, purgeBatch)
		if err != nil {
			return total, err
		}
		total += n
		if n < purgeBatch {
			return total, nil
		}
	}
}
