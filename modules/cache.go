package modules

import "context"

// CacheStats are figures over a tenant's cache: its live entries, and the hits
// and misses since it was first asked.
type CacheStats struct {
	Entries   int64   `json:"entries"`
	SizeBytes int64   `json:"size_bytes"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`
	HitRate   float64 `json:"hit_rate"` // hits / (hits + misses), 0 when there were none
}

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
