package webnavigator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/modules/internal/failopen"
)

// Lenient is a Client for work that goes on without the database. While the database is
// unreachable or unusable, Lenient stores no pages and metrics, and the cache finds nothing.
// Lenient returns all other errors, for example about arguments. The methods of rate limits and
// of traversals are the Client's own, and fail as the Client fails: an unknown limit must not
// count as no limit.
type Lenient struct {
	*Client
	open *failopen.Policy
}

// FailOpen returns a Lenient over c. Lenient logs the first dropped call as a warning, without
// values, and then at most a call every 10 s, with the number of calls between; log may be nil. With
// Config.StartAnyway the application starts without the schema too.
func FailOpen(c *Client, log *zap.Logger) *Lenient {
	return &Lenient{c, failopen.New("web navigator", log)}
}

// Dropped returns how many calls went by without the database.
func (l *Lenient) Dropped() int64 { return l.open.Dropped() }

// StoreContent is Client.StoreContent, or returns an empty id and false.
func (l *Lenient) StoreContent(ctx context.Context, content Content) (id string, inserted bool, err error) {
	id, inserted, err = l.Client.StoreContent(ctx, content)
	return id, inserted, l.open.Drop(ctx, "store content", err)
}

// GetByURL is Client.GetByURL, or finds nothing.
func (l *Lenient) GetByURL(ctx context.Context, url string) (Content, bool, error) {
	content, found, err := l.Client.GetByURL(ctx, url)
	return content, found, l.open.Drop(ctx, "get by url", err)
}

// CachePut is Client.CachePut, or does nothing. CachePut also does nothing with the empty id of
// a dropped StoreContent.
func (l *Lenient) CachePut(ctx context.Context, url, contentID string, ttl time.Duration) error {
	if contentID == "" {
		return nil
	}
	return l.open.Drop(ctx, "cache put", l.Client.CachePut(ctx, url, contentID, ttl))
}

// StoreMetrics is Client.StoreMetrics, or does nothing. StoreMetrics also does nothing with the
// empty id of a dropped StoreContent.
func (l *Lenient) StoreMetrics(ctx context.Context, contentID string, m ExtractionMetrics) error {
	if contentID == "" {
		return nil
	}
	return l.open.Drop(ctx, "store metrics", l.Client.StoreMetrics(ctx, contentID, m))
}

// Purge is Client.Purge, or returns the counts of rows deleted before the database became
// unavailable.
func (l *Lenient) Purge(ctx context.Context) (PurgeResult, error) {
	gone, err := l.Client.Purge(ctx)
	return gone, l.open.Drop(ctx, "purge", err)
}

// CacheStats is Client.CacheStats, or returns zeros.
func (l *Lenient) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := l.Client.CacheStats(ctx)
	return s, l.open.Drop(ctx, "cache stats", err)
}
