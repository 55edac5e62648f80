package webnavigator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/cachetable"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// DefaultTTL is the default of Content.TTL and of the ttl of CachePut.
const DefaultTTL = 24 * time.Hour

// Content is the text and data that were extracted from a page.
type Content struct {
	ID             string         `json:"id"`  // a UUID, made by StoreContent
	URL            string         `json:"url"` // at most 2048 bytes
	Title          string         `json:"title"`
	Text           string         `json:"text"`
	HTML           *string        `json:"html"`
	Links          []Link         `json:"links"`
	Images         []Image        `json:"images"`
	Metadata       PageMeta       `json:"metadata"`
	Quality        Quality        `json:"quality"`            // default unknown
	QualityDetail  QualityDetail  `json:"quality_detail"`     // nil: none
	ContentHash    string         `json:"content_hash"`       // SHA-256 in hex; default: of Text
	ExtractedAt    time.Time      `json:"extracted_at"`       // default now
	ExtractionType ExtractionType `json:"extraction_type"`    // default main_content
	ExtractionTime time.Duration  `json:"extraction_time_ns"` // kept in ms
	TTL            time.Duration  `json:"ttl_ns"`             // how long the content is kept; default DefaultTTL, read as the remaining time
}

// Link is a link on a page.
type Link struct {
	URL       string   `json:"url"`
	Text      string   `json:"text"`
	Type      LinkType `json:"type"`
	Relevance float64  `json:"relevance"` // 0 to 1
}

// Image is an image on a page, with the size in pixels if known.
type Image struct {
	URL    string `json:"url"`
	Alt    string `json:"alt"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// PageMeta is the metadata of a page and the page's response.
type PageMeta struct {
	Description   string            `json:"description,omitempty"`
	StatusCode    int               `json:"status_code,omitempty"`
	ContentType   string            `json:"content_type,omitempty"`
	ContentLength int64             `json:"content_length,omitempty"` // bytes
	LastModified  *time.Time        `json:"last_modified,omitempty"`
	CacheControl  string            `json:"cache_control,omitempty"`
	MetaTags      map[string]string `json:"meta_tags,omitempty"`
	OpenGraph     map[string]string `json:"open_graph,omitempty"`
	Language      string            `json:"language,omitempty"`
	Author        string            `json:"author,omitempty"`
	PublishedAt   *time.Time        `json:"published_at,omitempty"`
	Domain        string            `json:"domain,omitempty"`
	IsSecure      bool              `json:"is_secure,omitempty"`
}

// QualityDetail explains a quality, in the words of the assessor.
type QualityDetail map[string]any

func (c Content) validate() error {
	err := check.First(
		checkURL("url", c.URL),
		check.Storable("title", c.Title),
		check.Storable("text", c.Text),
		check.Enum("quality", cmp.Or(c.Quality, QualityUnknown), qualities),
		check.Enum("extraction_type", cmp.Or(c.ExtractionType, MainContent), extractionTypes),
		check.That("extraction_time", "must not be negative", c.ExtractionTime >= 0),
		check.That("ttl", "must not be negative", c.TTL >= 0),
		check.Ranges(c),
		check.Past("extracted_at", c.ExtractedAt),
	)
	if c.HTML != nil {
		err = check.First(err, check.Storable("html", *c.HTML))
	}
	if c.ContentHash != "" {
		err = check.First(err, check.SHA256("content_hash", c.ContentHash))
	}
	return check.First(err, c.validateLinks(), c.Metadata.validate())
}

func (c Content) validateLinks() (err error) {
	for i, l := range c.Links {
		at := fmt.Sprintf("links[%d].", i)
		err = check.First(err, check.Enum(at+"type", l.Type, linkTypes), check.Share(at+"relevance", l.Relevance))
	}
	for i, image := range c.Images {
		at := fmt.Sprintf("images[%d].", i)
		err = check.First(err, check.Int32(at+"width", image.Width, 0), check.Int32(at+"height", image.Height, 0))
	}
	return err
}

func (m PageMeta) validate() error {
	return check.First(
		check.Int32("metadata.status_code", m.StatusCode, 0),
		check.Count("metadata.content_length", m.ContentLength),
	)
}

func (c Content) hash() string {
	if c.ContentHash != "" {
		return strings.ToLower(c.ContentHash)
	}
	return sqlarg.SHA256(c.Text)
}

// A row that the statement has inserted has no xmax; a row that existed before has the
// statement's own transaction as xmax.
const storeContentSQL = `
insert into web.contents (url, title, content, html, content_hash, quality, quality_detail, metadata, links, images, extraction_type,
    extracted_at, cached_until, extraction_time_ms, content_size_bytes)
values (@url::text, @title::text, @text::text, @html::text, @hash::text, @quality::text, @detail::jsonb, @metadata::jsonb, @links::jsonb,
    @images::jsonb, @extraction_type::text, coalesce(@extracted_at::timestamptz, now()), now() + @ttl::interval, @extraction_ms::bigint, @size::bigint)
on conflict (tenant_id, url, content_hash) do update set
    title = excluded.title, content = excluded.content, html = excluded.html, quality = excluded.quality, quality_detail = excluded.quality_detail,
    metadata = excluded.metadata, links = excluded.links, images = excluded.images, extraction_type = excluded.extraction_type,
    extracted_at = excluded.extracted_at, cached_until = excluded.cached_until, extraction_time_ms = excluded.extraction_time_ms,
    content_size_bytes = excluded.content_size_bytes
returning id::text as id, xmax = 0 as inserted`

// StoreContent keeps a page's content until the end of the TTL, and returns the content's id.
// For the same URL and hash StoreContent keeps a single row with the newest values, and
// inserted is false.
func (c *Client) StoreContent(ctx context.Context, content Content) (id string, inserted bool, err error) {
	if err := content.validate(); err != nil {
		return "", false, wrap("store content", err)
	}
	args := pgx.NamedArgs{
		"url": content.URL, "title": content.Title, "text": content.Text, "html": content.HTML, "hash": content.hash(),
		"quality": cmp.Or(content.Quality, QualityUnknown), "extraction_type": cmp.Or(content.ExtractionType, MainContent),
		"extracted_at": sqlarg.OrNull(content.ExtractedAt), "ttl": cmp.Or(content.TTL, DefaultTTL),
		"extraction_ms": content.ExtractionTime.Milliseconds(), "size": len(content.Text), "detail": nil,
	}
	parts := map[string]any{"metadata": content.Metadata, "links": orEmpty(content.Links), "images": orEmpty(content.Images)}
	if content.QualityDetail != nil {
		parts["detail"] = content.QualityDetail
	}
	for field, part := range parts {
		if args[field], err = sqlarg.JSON(field, part); err != nil {
			return "", false, wrap("store content", err)
		}
	}
	stored, err := store.One[struct {
		ID       string
		Inserted bool
	}](ctx, c.db, storeContentSQL, args)
	return stored.ID, stored.Inserted, wrap("store content", err)
}

// orEmpty turns nil into an empty list: JSON would encode nil as null.
func orEmpty[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

var getByURLSQL = `
with hit as (
    update web.cache set hit_count = hit_count + 1, last_accessed = now()
    where url = @url and expires_at > now()
    returning tenant_id, content_id
), ` + cachetable.CountSQL("web") + `
select ` + contentColumns + `
from hit join web.contents c on c.tenant_id = hit.tenant_id and c.id = hit.content_id`

// contentColumns are the columns of a contentRow.
const contentColumns = `c.id::text as id, c.url, c.title, c.content as text, c.html, c.links, c.images, c.metadata, c.quality, c.quality_detail,
c.content_hash, c.extracted_at, c.extraction_type, c.extraction_time_ms as extraction_ms,
greatest(c.cached_until - now(), interval '0') as ttl`

type contentRow struct {
	ID, URL, Title, Text    string
	HTML                    *string
	Links, Images, Metadata json.RawMessage
	Quality                 Quality
	QualityDetail           json.RawMessage
	ContentHash             string
	ExtractedAt             time.Time
	ExtractionType          ExtractionType
	ExtractionMs            int64
	TTL                     time.Duration
}

func (r contentRow) content() (Content, error) {
	c := Content{
		ID: r.ID, URL: r.URL, Title: r.Title, Text: r.Text, HTML: r.HTML, Quality: r.Quality, ContentHash: r.ContentHash,
		ExtractedAt: r.ExtractedAt, ExtractionType: r.ExtractionType, TTL: r.TTL,
		ExtractionTime: time.Duration(r.ExtractionMs) * time.Millisecond,
	}
	for field, part := range map[string]struct {
		raw  json.RawMessage
		into any
	}{
		"links": {r.Links, &c.Links}, "images": {r.Images, &c.Images}, "metadata": {r.Metadata, &c.Metadata}, "quality_detail": {r.QualityDetail, &c.QualityDetail},
	} {
		if part.raw == nil {
			continue
		}
		if err := json.Unmarshal(part.raw, part.into); err != nil {
			return Content{}, fmt.Errorf("content %s: %s of another shape: %w", r.ID, field, modules.ErrInvalid)
		}
	}
	return c, nil
}

// GetByURL returns the cache's content for a URL. GetByURL returns false, and no error, if the
// cache has no entry or the entry has expired. GetByURL counts a hit or a miss.
func (c *Client) GetByURL(ctx context.Context, url string) (Content, bool, error) {
	if err := checkURL("url", url); err != nil {
		return Content{}, false, wrap("get by url", err)
	}
	// After the loss of the connection a retry sends the statement again: a hit that counts
	// twice does no harm.
	row, err := store.One[contentRow](fxdb.Idempotent(ctx), c.db, getByURLSQL, pgx.NamedArgs{"url": url})
	if errors.Is(err, pgx.ErrNoRows) {
		return Content{}, false, nil
	}
	if err != nil {
		return Content{}, false, wrap("get by url", err)
	}
	content, err := row.content()
	return content, err == nil, wrap("get by url", err)
}
