package verification

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/cachetable"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

// CacheStats are figures over a tenant's cache.
type CacheStats = modules.CacheStats

var cache = cachetable.New("verification", "result_data", "result_hash")

// CacheGet returns the result that CachePut stored for a request with r's content, source and
// types; r's other fields don't matter. CacheGet returns false, and no error, if the cache has
// no entry or the entry has expired. CacheGet counts a hit or a miss.
func (c *Client) CacheGet(ctx context.Context, r Request) (Result, bool, error) {
	if err := r.validateQuestion(); err != nil {
		return Result{}, false, wrap("cache get", err)
	}
	raw, found, err := cache.Get(ctx, c.db, r.CacheKey())
	if !found {
		return Result{}, false, wrap("cache get", err)
	}
	var out Result
	err = json.Unmarshal([]byte(raw), &out)
	return out, err == nil, wrap("cache get", err)
}

// CachePut stores a result for ttl, in place of an existing entry. ttl must be more than 0.
// CacheGet finds the result for requests with r's content, source and types.
func (c *Client) CachePut(ctx context.Context, r Request, result Result, ttl time.Duration) error {
	data, err := sqlarg.JSON("result", result)
	_, evidenceErr := evidenceArgs(result.evidence())
	err = check.First(r.validateQuestion(), result.validate(), evidenceErr, err, check.That("ttl", "must be more than 0", ttl > 0),
		check.Duration("ttl", ttl))
	if err != nil {
		return wrap("cache put", err)
	}
	err = cache.Put(ctx, c.db, r.CacheKey(), data, ttl, pgx.NamedArgs{"result_hash": sqlarg.SHA256(data)})
	return wrap("cache put", err)
}

// CachePurge deletes expired entries, 5000 at a time, and returns the count. With an error
// CachePurge returns the count of the earlier batches.
func (c *Client) CachePurge(ctx context.Context) (int64, error) {
	n, err := cache.Purge(ctx, c.db)
	return n, wrap("cache purge", err)
}

// CacheStats returns the figures of the tenant's cache.
func (c *Client) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := cache.Stats(ctx, c.db)
	return s, wrap("cache stats", err)
}
