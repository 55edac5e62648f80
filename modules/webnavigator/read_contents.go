package webnavigator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Content returns stored content by id, or ErrContentNotFound. Content counts no hit and no miss
// of the cache.
func (c *Client) Content(ctx context.Context, id string) (Content, error) {
	if err := check.UUID("id", id); err != nil {
		return Content{}, wrap("content", err)
	}
	r, err := store.One[contentRow](ctx, c.db, "select "+contentColumns+" from web.contents c where c.id = @id::uuid", pgx.NamedArgs{"id": id})
	if err != nil {
		return Content{}, wrap("content", store.OrMissing(err, ErrContentNotFound))
	}
	content, err := r.content()
	return content, wrap("content", err)
}

// StoredMetrics are the metrics of an extraction as the database keeps the metrics.
type StoredMetrics struct {
	ExtractionMetrics
	ID          string    `json:"id"` // a UUID
	ExtractedAt time.Time `json:"extracted_at"`
}

type metricsRow struct {
	Total, Fetch, Parse, Sanitize                       time.Duration
	StatusCode                                          int
	ContentType                                         *string
	ContentLength                                       *int64
	RedirectCount                                       int
	SSLVerified, MaliciousDetected, SanitizationApplied bool
	ID                                                  string
	ExtractedAt                                         time.Time
}

func (r metricsRow) metrics() StoredMetrics {
	return StoredMetrics{
		ExtractionMetrics: ExtractionMetrics{
			Total: r.Total, Fetch: r.Fetch, Parse: r.Parse, Sanitize: r.Sanitize, StatusCode: r.StatusCode, ContentType: r.ContentType,
			ContentLength: r.ContentLength, RedirectCount: r.RedirectCount, SSLVerified: r.SSLVerified,
			MaliciousDetected: r.MaliciousDetected, SanitizationApplied: r.SanitizationApplied,
		},
		ID: r.ID, ExtractedAt: r.ExtractedAt,
	}
}

const metricsSQL = `
select m.total_time_ms * interval '1 millisecond' as total, m.fetch_time_ms * interval '1 millisecond' as fetch,
       m.parse_time_ms * interval '1 millisecond' as parse, m.sanitize_time_ms * interval '1 millisecond' as sanitize,
       m.status_code, m.content_type, m.content_length, m.redirect_count, m.ssl_verified, m.malicious_detected, m.sanitization_applied,
       m.id::text as id, m.extracted_at
from web.extraction_metrics m where m.content_id = @content_id::uuid`

// MetricsPage returns the metrics of content's extractions, the newest first, and
// ErrContentNotFound for missing content. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) MetricsPage(ctx context.Context, contentID string, limit int, after string) (modules.Page[StoredMetrics], error) {
	if err := check.UUID("content_id", contentID); err != nil {
		return modules.Page[StoredMetrics]{}, wrap("metrics", err)
	}
	p, err := keyset.List[metricsRow, StoredMetrics]{
		Select:     metricsSQL,
		Key:        []keyset.Column{{SQL: "m.extracted_at", Type: keyset.Time}, {SQL: "m.id", Type: keyset.UUID}},
		Descending: true,
		KeyOf:      func(r metricsRow) []any { return []any{r.ExtractedAt, r.ID} },
		Convert:    keyset.Always(metricsRow.metrics),
		Parent:     "select exists (select from web.contents c where c.id = @content_id::uuid)",
		Unknown:    ErrContentNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"content_id": contentID})
	return p, wrap("metrics", err)
}
