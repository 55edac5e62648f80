package knowledge

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/modules/internal/failopen"
)

// Lenient is a Client for work that goes on without the database. While the database is
// unreachable or unusable, Lenient drops writes, and reads find nothing. Lenient returns
// further errors, for example about arguments. The methods of entries, and the reads of queries,
// results and responses, are the Client's own, and fail as the Client fails.
type Lenient struct {
	*Client
	open *failopen.Policy
}

// FailOpen returns a Lenient over c. Lenient logs the first dropped call as a warning, without
// values, and then at most a call every 10 s, with the number of calls between; log may be nil. With
// Config.StartAnyway the application starts without the schema too.
func FailOpen(c *Client, log *zap.Logger) *Lenient {
	return &Lenient{c, failopen.New("knowledge", log)}
}

// Dropped returns how many calls went by without the database.
func (l *Lenient) Dropped() int64 { return l.open.Dropped() }

// StoreQuery is Client.StoreQuery, or returns the query's own id, which may be empty.
func (l *Lenient) StoreQuery(ctx context.Context, q Query, opts ...QueryOption) (string, error) {
	id, err := l.Client.StoreQuery(ctx, q, opts...)
	if l.open.Pass(ctx, "store query", err) {
		return q.ID, nil
	}
	return id, err
}

// SetQueryStatus is Client.SetQueryStatus, or does nothing.
func (l *Lenient) SetQueryStatus(ctx context.Context, id string, status Status, errorText string) error {
	return l.open.Drop(ctx, "set query status", l.Client.SetQueryStatus(ctx, id, status, errorText))
}

// StoreResults is Client.StoreResults, or returns 0.
func (l *Lenient) StoreResults(ctx context.Context, results []SearchResult) (int64, error) {
	n, err := l.Client.StoreResults(ctx, results)
	return n, l.open.Drop(ctx, "store results", err)
}

// StoreResponse is Client.StoreResponse, or returns an empty id.
func (l *Lenient) StoreResponse(ctx context.Context, r Response, opts ...ResponseOption) (string, error) {
	id, err := l.Client.StoreResponse(ctx, r, opts...)
	return id, l.open.Drop(ctx, "store response", err)
}

// SetProviderHealth is Client.SetProviderHealth, or does nothing.
func (l *Lenient) SetProviderHealth(ctx context.Context, provider string, h ProviderHealth) error {
	return l.open.Drop(ctx, "set provider health", l.Client.SetProviderHealth(ctx, provider, h))
}

// ProviderHealth is Client.ProviderHealth, or fails with ErrProviderNotFound.
func (l *Lenient) ProviderHealth(ctx context.Context, provider string) (ProviderHealth, error) {
	h, err := l.Client.ProviderHealth(ctx, provider)
	if l.open.Pass(ctx, "provider health", err) {
		return ProviderHealth{}, wrap("provider health", ErrProviderNotFound)
	}
	return h, err
}

// CacheGet is Client.CacheGet, or finds nothing.
func (l *Lenient) CacheGet(ctx context.Context, key string) (json.RawMessage, bool, error) {
	content, found, err := l.Client.CacheGet(ctx, key)
	return content, found, l.open.Drop(ctx, "cache get", err)
}

// CachePut is Client.CachePut, or does nothing.
func (l *Lenient) CachePut(ctx context.Context, key string, content json.RawMessage, ttl time.Duration, kind CacheType) error {
	return l.open.Drop(ctx, "cache put", l.Client.CachePut(ctx, key, content, ttl, kind))
}

// CachePurge is Client.CachePurge, or returns the count of entries deleted before the database
// became unavailable.
func (l *Lenient) CachePurge(ctx context.Context) (int64, error) {
	n, err := l.Client.CachePurge(ctx)
	return n, l.open.Drop(ctx, "cache purge", err)
}

// CacheStats is Client.CacheStats, or returns zeros.
func (l *Lenient) CacheStats(ctx context.Context) (CacheStats, error) {
	s, err := l.Client.CacheStats(ctx)
	return s, l.open.Drop(ctx, "cache stats", err)
}
