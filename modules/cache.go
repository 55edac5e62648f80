package modules

// CacheStats are figures of a tenant's cache: the live entries, and the hits and misses since
// the first use of the cache.
type CacheStats struct {
	Entries   int64   `json:"entries"`
	SizeBytes int64   `json:"size_bytes"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`
	HitRate   float64 `json:"hit_rate"` // hits / (hits + misses), 0 without hits and misses
}
