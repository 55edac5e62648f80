package knowledge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// resultRow is a row of knowledge.search_results.
type resultRow struct {
	ID, QueryID, Title, Content, URL, Domain string
	SourceType                               SourceType
	RelevanceScore, CredibilityScore         float64
	Quality                                  Quality
	Provider                                 string
	ProviderMetadata                         map[string]any
	PublishedAt                              *time.Time
	RetrievedAt, ProcessedAt                 time.Time
	ContentHash                              string
}

const resultsSQL = `
select r.id, r.query_id, r.title, r.content, r.url, r.domain, r.source_type, r.relevance_score, r.credibility_score, r.quality, r.provider,
       r.provider_metadata, r.published_at, r.retrieved_at, r.created_at as processed_at, r.content_hash
from knowledge.search_results r where r.query_id = @query_id`

// SearchResultsPage returns the results of a query, the most relevant first, and ErrQueryNotFound
// for a missing query. limit is from 1 to modules.MaxPage, and modules.DefaultPage when 0. after
// is the Next of the previous page.
func (c *Client) SearchResultsPage(ctx context.Context, queryID string, limit int, after string) (modules.Page[SearchResult], error) {
	if err := check.ID("query_id", queryID); err != nil {
		return modules.Page[SearchResult]{}, wrap("search results", err)
	}
	p, err := keyset.List[resultRow, SearchResult]{
		Select:     resultsSQL,
		Key:        []keyset.Column{{SQL: "r.relevance_score", Type: keyset.Number}, {SQL: "r.id", Type: keyset.Text}},
		Descending: true,
		KeyOf:      func(r resultRow) []any { return []any{r.RelevanceScore, r.ID} },
		Convert:    keyset.Always(func(r resultRow) SearchResult { return SearchResult(r) }),
		Parent:     queryExistsSQL,
		Unknown:    ErrQueryNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"query_id": queryID})
	return p, wrap("search results", err)
}
