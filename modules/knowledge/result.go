package knowledge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// SearchResult is a provider's result for a query.
type SearchResult struct {
	ID               string         `json:"id"` // the caller's, 1 to 255 bytes; default: a new UUID
	QueryID          string         `json:"query_id"`
	Title            string         `json:"title"`
	Content          string         `json:"content"`
	URL              string         `json:"url"`
	Domain           string         `json:"domain"` // 1 to 255 bytes
	SourceType       SourceType     `json:"source_type"`
	RelevanceScore   float64        `json:"relevance_score"`   // 0 to 1
	CredibilityScore float64        `json:"credibility_score"` // 0 to 1
	Quality          Quality        `json:"quality"`           // default medium
	Provider         string         `json:"provider"`          // 1 to 100 bytes
	ProviderMetadata map[string]any `json:"provider_metadata"`
	PublishedAt      *time.Time     `json:"published_at"`
	RetrievedAt      time.Time      `json:"retrieved_at"` // default now
	ProcessedAt      time.Time      `json:"processed_at"` // default now
	ContentHash      string         `json:"content_hash"` // SHA-256 in hex; default: of Content, or of URL if Content is empty
}

func (r SearchResult) validate() error {
	err := check.First(
		check.ID("query_id", r.QueryID),
		check.Storable("title", r.Title),
		check.Storable("content", r.Content),
		check.Text("url", r.URL, math.MaxInt32),
		check.Text("domain", r.Domain, 255),
		check.Enum("source_type", r.SourceType, sourceTypes),
		check.Share("relevance_score", r.RelevanceScore),
		check.Share("credibility_score", r.CredibilityScore),
		check.Enum("quality", cmp.Or(r.Quality, QualityMedium), qualities),
		check.Text("provider", r.Provider, 100),
		check.Ranges(r),
		check.Past("retrieved_at", r.RetrievedAt),
		check.Past("processed_at", r.ProcessedAt),
	)
	if r.ID != "" {
		err = check.First(err, check.ID("id", r.ID))
	}
	if r.ContentHash != "" {
		err = check.First(err, check.SHA256("content_hash", r.ContentHash))
	}
	return err
}

// hashOf returns the SHA-256 of the parts, in hex. The bounds between the parts count.
func hashOf(parts ...string) string {
	h := sha256.New()
	for i, p := range parts {
		if i > 0 {
			fmt.Fprintf(h, "\x00%d\x00", len(p))
		}
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// In the order of the hash: two calls with the same results in different orders wait for each
// other instead of a deadlock. The statement does not lock the queries: a result that comes at the
// same time as a query's end came before the end. %d is the [keyset.Bound] of the number of queries.
const storeResultsSQL = `
with ended as materialized (
    select q.status from (select distinct id from unnest(@query_ids::text[]) id limit %d) r, lateral (
        select q.status from knowledge.queries q where q.id = r.id and q.status = any(@closed::text[]) offset 0
    ) q limit 1
), stored as (
insert into knowledge.search_results (id, query_id, title, content, url, domain, source_type, relevance_score,
    credibility_score, quality, provider, provider_metadata, published_at, retrieved_at, created_at, content_hash)
select coalesce(nullif(id, ''), gen_random_uuid()::text), query_id, title, content, url, domain, source_type, relevance_score,
    credibility_score, quality, provider, provider_metadata::jsonb, published_at, coalesce(retrieved_at, now()),
    coalesce(processed_at, now()), content_hash
from unnest(@ids::text[], @query_ids::text[], @titles::text[], @contents::text[], @urls::text[], @domains::text[],
    @source_types::text[], @relevances::float8[], @credibilities::float8[], @qualities::text[], @providers::text[],
    @metadata::text[], @published::timestamptz[], @retrieved::timestamptz[], @processed::timestamptz[], @hashes::text[])
    with ordinality as r(id, query_id, title, content, url, domain, source_type, relevance_score, credibility_score, quality,
        provider, provider_metadata, published_at, retrieved_at, processed_at, content_hash, place)
where not exists (select from ended)
order by query_id, content_hash, place
on conflict on constraint search_results_hash_key do nothing
returning 1
)
select (select count(*) from stored) as stored, coalesce((select ended.status from ended), '') as ended`

// StoreResults adds results, all or none, and returns the count of new results: of equal
// content hashes a query keeps the first result. A missing query is a modules.ErrReference, a
// completed or failed query a [modules.StatusError], an id that the tenant has already a
// modules.ErrConflict. StoreResults without results needs no connection, and refuses more than
// modules.MaxRows results.
func (c *Client) StoreResults(ctx context.Context, results []SearchResult) (int64, error) {
	if len(results) == 0 {
		return 0, nil
	}
	if err := check.Rows("results", len(results)); err != nil {
		return 0, wrap("store results", err)
	}
	args, err := resultColumns(results)
	if err != nil {
		return 0, wrap("store results", err)
	}
	r, err := store.One[struct {
		Stored int64
		Ended  Status
	}](ctx, c.db, fmt.Sprintf(storeResultsSQL, keyset.Bound(queries(results))), args)
	if err == nil {
		err = closedToResults.Check("query", r.Ended)
	}
	return r.Stored, wrap("store results", err)
}

// queries returns the number of different queries of the results.
func queries(results []SearchResult) int {
	ids := map[string]struct{}{}
	for _, r := range results {
		ids[r.QueryID] = struct{}{}
	}
	return len(ids)
}

// resultColumns turns rows into an array per column.
func resultColumns(results []SearchResult) (pgx.NamedArgs, error) {
	n := len(results)
	text := map[string][]string{}
	add := func(column, v string) { text[column] = append(text[column], v) }
	relevances, credibilities := make([]float64, n), make([]float64, n)
	published, retrieved, processed := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, r := range results {
		if err := r.validate(); err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
		metadata, err := sqlarg.JSON("provider_metadata", r.ProviderMetadata)
		if err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
		add("ids", r.ID)
		add("query_ids", r.QueryID)
		add("titles", r.Title)
		add("contents", r.Content)
		add("urls", r.URL)
		add("domains", r.Domain)
		add("source_types", string(r.SourceType))
		add("qualities", string(cmp.Or(r.Quality, QualityMedium)))
		add("providers", r.Provider)
		add("metadata", metadata)
		hash := strings.ToLower(r.ContentHash)
		if hash == "" {
			hash = hashOf(cmp.Or(r.Content, r.URL))
		}
		add("hashes", hash)
		relevances[i], credibilities[i] = r.RelevanceScore, r.CredibilityScore
		published[i], retrieved[i], processed[i] = r.PublishedAt, sqlarg.OrNull(r.RetrievedAt), sqlarg.OrNull(r.ProcessedAt)
	}
	args := pgx.NamedArgs{
		"relevances": relevances, "credibilities": credibilities,
		"published": published, "retrieved": retrieved, "processed": processed, "closed": closedToResults.Statuses(),
	}
	for column, values := range text {
		args[column] = values
	}
	return args, nil
}
