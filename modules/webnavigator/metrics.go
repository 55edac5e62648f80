package webnavigator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
)

// ExtractionMetrics are the durations and counts of a page's extraction. The database keeps
// times in ms.
type ExtractionMetrics struct {
	Total               time.Duration `json:"total_ns"`
	Fetch               time.Duration `json:"fetch_ns"`
	Parse               time.Duration `json:"parse_ns"`
	Sanitize            time.Duration `json:"sanitize_ns"`
	StatusCode          int           `json:"status_code"`    // of the response
	ContentType         *string       `json:"content_type"`   // at most 100 bytes
	ContentLength       *int64        `json:"content_length"` // bytes
	RedirectCount       int           `json:"redirect_count"`
	SSLVerified         bool          `json:"ssl_verified"`
	MaliciousDetected   bool          `json:"malicious_detected"`
	SanitizationApplied bool          `json:"sanitization_applied"`
}

func (m ExtractionMetrics) validate() error {
	err := check.First(
		check.That("total", "must not be negative", m.Total >= 0),
		check.That("fetch", "must not be negative", m.Fetch >= 0),
		check.That("parse", "must not be negative", m.Parse >= 0),
		check.That("sanitize", "must not be negative", m.Sanitize >= 0),
		check.Int32("status_code", m.StatusCode, 0),
		check.Int32("redirect_count", m.RedirectCount, 0),
		check.Ranges(m),
	)
	if m.ContentType != nil {
		err = check.First(err, check.Text("content_type", *m.ContentType, 100))
	}
	if m.ContentLength != nil {
		err = check.First(err, check.Count("content_length", *m.ContentLength))
	}
	return err
}

const storeMetricsSQL = `
insert into web.extraction_metrics (content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, content_type,
    content_length, redirect_count, ssl_verified, malicious_detected, sanitization_applied)
values (@content_id::uuid, @total::bigint, @fetch::bigint, @parse::bigint, @sanitize::bigint, @status_code::int, @content_type::text,
    @content_length::bigint, @redirects::int, @ssl::bool, @malicious::bool, @sanitized::bool)`

// StoreMetrics adds the metrics of content's extraction. Missing content is a
// modules.ErrReference.
func (c *Client) StoreMetrics(ctx context.Context, contentID string, m ExtractionMetrics) error {
	if err := check.First(check.UUID("content_id", contentID), m.validate()); err != nil {
		return wrap("store metrics", err)
	}
	_, err := c.db.Exec(ctx, storeMetricsSQL, pgx.NamedArgs{
		"content_id": contentID, "total": m.Total.Milliseconds(), "fetch": m.Fetch.Milliseconds(),
		"parse": m.Parse.Milliseconds(), "sanitize": m.Sanitize.Milliseconds(), "status_code": m.StatusCode,
		"content_type": m.ContentType, "content_length": m.ContentLength, "redirects": m.RedirectCount,
		"ssl": m.SSLVerified, "malicious": m.MaliciousDetected, "sanitized": m.SanitizationApplied,
	})
	return wrap("store metrics", err)
}
