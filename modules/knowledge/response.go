package knowledge

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Response is the answer to a query.
type Response struct {
	QueryID           string         `json:"query_id"`
	Summary           string         `json:"summary"`
	Confidence        float64        `json:"confidence"` // 0 to 1
	SourcesUsed       []string       `json:"sources_used"`
	TotalResultsFound int            `json:"total_results_found"`
	ResultsFiltered   int            `json:"results_filtered"`
	ProcessingTime    time.Duration  `json:"processing_time_ns"` // kept in ms
	CacheUsed         bool           `json:"cache_used"`
	ProvidersQueried  []string       `json:"providers_queried"`
	Results           []SearchResult `json:"results"`      // checked as StoreResults does, and not stored: the averages are of the results' scores and domains
	RespondedAt       time.Time      `json:"responded_at"` // default now
}

func (r Response) validate() error {
	err := check.First(
		check.ID("query_id", r.QueryID),
		check.Storable("summary", r.Summary),
		check.Share("confidence", r.Confidence),
		check.Storable("sources_used", r.SourcesUsed...),
		check.Int32("total_results_found", r.TotalResultsFound, 0),
		check.Int32("results_filtered", r.ResultsFiltered, 0),
		check.That("processing_time", "must not be negative", r.ProcessingTime >= 0),
		check.Storable("providers_queried", r.ProvidersQueried...),
		check.Ranges(r),
		check.Past("responded_at", r.RespondedAt),
	)
	for i, s := range r.Results {
		err = check.First(err, check.Within(fmt.Sprintf("results[%d]", i), r.validateResult(s)))
	}
	return err
}

// validateResult checks a result as StoreResults does. The result may leave out the query.
func (r Response) validateResult(s SearchResult) error {
	s.QueryID = cmp.Or(s.QueryID, r.QueryID)
	return check.First(
		check.That("query_id", "must be the response's query_id", s.QueryID == r.QueryID),
		s.validate(),
	)
}

// averages are over the results: nil, for null, without results. Diversity is the share of
// distinct domains.
func (r Response) averages() (relevance, credibility, diversity *float64) {
	if len(r.Results) == 0 {
		return nil, nil, nil
	}
	var sums [2]float64
	domains := map[string]bool{}
	for _, s := range r.Results {
		sums[0] += s.RelevanceScore
		sums[1] += s.CredibilityScore
		domains[s.Domain] = true
	}
	n := float64(len(r.Results))
	// Rounding may lift a mean of ones above 1, and the column refuses values above 1.
	mean := func(sum float64) *float64 { m := min(1, sum/n); return &m }
	return mean(sums[0]), mean(sums[1]), mean(float64(len(domains)))
}

// ResponseOption is an option of StoreResponse.
type ResponseOption func(*responseOptions)

type responseOptions struct{ complete bool }

// CompleteQuery sets the response's query completed in the same transaction.
func CompleteQuery() ResponseOption { return func(o *responseOptions) { o.complete = true } }

const (
	insertResponseSQL = `
insert into knowledge.responses (query_id, summary, confidence, sources_used, providers_queried, total_results_found,
    results_filtered, processing_time_ms, cache_used, relevance_score_avg, credibility_score_avg, diversity_score, created_at)
select @query_id, @summary, @confidence::float8, @sources::text[], @providers::text[], @found::int, @filtered::int,
    @processing_ms::bigint, @cache_used::bool, @relevance::float8, @credibility::float8, @diversity::float8,
    coalesce(@responded_at::timestamptz, now())`

	storeResponseSQL = `
with query as (
    select q.status from knowledge.queries q where q.id = @query_id
)` + storedResponseSQL

	// The statement locks the query first, and judges the locked row.
	completeQuerySQL = `
with query as (
    select q.tenant_id, q.id, q.status from knowledge.queries q where q.id = @query_id for no key update
), completed as (
    update knowledge.queries q set status = 'completed', processed_at = coalesce(q.processed_at, now()), error_message = null
    from query v where q.tenant_id = v.tenant_id and q.id = v.id and v.status = any(@from::text[])
)` + storedResponseSQL

	storedResponseSQL = `, stored as (` + insertResponseSQL + ` from query where query.status <> all(@closed::text[]) returning id
)
select query.status as before, coalesce(stored.id::text, '') as id from query left join stored on true`
)

// StoreResponse adds a response and returns the response's id, a UUID. A missing query is a
// modules.ErrReference, a failed query a [modules.StatusError]. A completed query takes further
// responses.
func (c *Client) StoreResponse(ctx context.Context, r Response, opts ...ResponseOption) (string, error) {
	if err := r.validate(); err != nil {
		return "", wrap("store response", err)
	}
	var o responseOptions
	for _, opt := range opts {
		opt(&o)
	}
	sql := storeResponseSQL
	if o.complete {
		sql = completeQuerySQL
	}
	relevance, credibility, diversity := r.averages()
	stored, err := store.One[struct {
		Before Status
		ID     string
	}](ctx, c.db, sql, pgx.NamedArgs{
		"query_id": r.QueryID, "summary": r.Summary, "confidence": r.Confidence,
		"sources": sqlarg.Texts(r.SourcesUsed), "providers": sqlarg.Texts(r.ProvidersQueried),
		"found": r.TotalResultsFound, "filtered": r.ResultsFiltered, "processing_ms": r.ProcessingTime.Milliseconds(),
		"cache_used": r.CacheUsed, "relevance": relevance, "credibility": credibility, "diversity": diversity,
		"responded_at": sqlarg.OrNull(r.RespondedAt), "from": moves.To(Completed), "closed": closedToResponses.Statuses(),
	})
	err = store.OrMissing(err, ErrUnknownQuery)
	if err == nil {
		err = closedToResponses.Check("query", stored.Before)
	}
	return stored.ID, wrap("store response", err)
}
