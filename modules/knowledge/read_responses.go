package knowledge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// StoredResponse is a response as the database keeps the response: with the averages of the
// results, and without the results.
type StoredResponse struct {
	ID                string        `json:"id"` // a UUID
	QueryID           string        `json:"query_id"`
	Summary           string        `json:"summary"`
	Confidence        float64       `json:"confidence"`
	SourcesUsed       []string      `json:"sources_used"`
	TotalResultsFound int           `json:"total_results_found"`
	ResultsFiltered   int           `json:"results_filtered"`
	ProcessingTime    time.Duration `json:"processing_time_ns"`
	CacheUsed         bool          `json:"cache_used"`
	ProvidersQueried  []string      `json:"providers_queried"`
	AvgRelevance      *float64      `json:"avg_relevance"` // of the results; nil: without results
	AvgCredibility    *float64      `json:"avg_credibility"`
	Diversity         *float64      `json:"diversity"` // the share of distinct domains; nil: without results
	RespondedAt       time.Time     `json:"responded_at"`
}

const responsesSQL = `
select r.id::text as id, r.query_id, r.summary, r.confidence, r.sources_used, r.total_results_found, r.results_filtered,
       r.processing_time_ms * interval '1 millisecond' as processing_time, r.cache_used, r.providers_queried,
       r.relevance_score_avg as avg_relevance, r.credibility_score_avg as avg_credibility, r.diversity_score as diversity, r.created_at as responded_at
from knowledge.responses r where r.query_id = @query_id`

// ResponsesPage returns the responses to a query, the newest first, and ErrQueryNotFound for a
// missing query. limit is from 1 to modules.MaxPage, and modules.DefaultPage when 0. after is the
// Next of the previous page.
func (c *Client) ResponsesPage(ctx context.Context, queryID string, limit int, after string) (modules.Page[StoredResponse], error) {
	if err := check.ID("query_id", queryID); err != nil {
		return modules.Page[StoredResponse]{}, wrap("responses", err)
	}
	p, err := keyset.List[StoredResponse, StoredResponse]{
		Select:     responsesSQL,
		Key:        []keyset.Column{{SQL: "r.created_at", Type: keyset.Time}, {SQL: "r.id", Type: keyset.UUID}},
		Descending: true,
		KeyOf:      func(r StoredResponse) []any { return []any{r.RespondedAt, r.ID} },
		Convert:    keyset.Always(func(r StoredResponse) StoredResponse { return r }),
		Parent:     queryExistsSQL,
		Unknown:    ErrQueryNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"query_id": queryID})
	return p, wrap("responses", err)
}
