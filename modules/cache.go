package modules

import "context"

// CacheStats are figures of a tenant's cache: the live entries, and the hits and misses since
// the first use of the cache.
type CacheStats struct {
	Entries   int64   `json:"entries"`
	SizeBytes int64   `json:"size_bytes"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`
	HitRate   float64 `json:"hit_rate"` // hits / (hits + misses), 0 without hits and misses
}

// purgeBatch is the largest number of rows that a statement of [Purge] deletes: no statement
// takes long or holds many locks.
const purgeBatch = 5000

// Purge calls remove until remove deletes fewer rows than limit, and returns the number of
// deleted rows. Each call commits: with an error Purge returns the number from the calls before.
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
