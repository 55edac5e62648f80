package knowledge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// StoredQuery is a query with the state that the database keeps.
type StoredQuery struct {
	Query
	Status      Status     `json:"status"`
	ProcessedAt *time.Time `json:"processed_at"` // nil: the query has not ended
	Error       *string    `json:"error"`        // of a failed query
	Retries     int        `json:"retries"`      // moves from Failed to Processing
}

// queryRow is a row of knowledge.queries, with queryColumns.
type queryRow struct {
	ID, Text         string
	Type             QueryType
	PreferredSources []SourceType
	MaxResults       int
	Threshold        float64
	TimeoutMs        int64
	Context          map[string]any
	RequesterID      string
	Priority         int
	Tags             []string
	CreatedAt        time.Time
	Status           Status
	ProcessedAt      *time.Time
	Error            *string
	Retries          int
}

const queryColumns = `q.id, q.query_text as text, q.query_type as type, q.preferred_sources, q.max_results, q.relevance_threshold as threshold,
q.timeout_ms, q.context, q.requester_id, q.priority, q.tags, q.created_at, q.status, q.processed_at, q.error_message as error, q.retry_count as retries`

func (r queryRow) query() StoredQuery {
	return StoredQuery{
		Query: Query{
			ID: r.ID, Text: r.Text, Type: r.Type, PreferredSources: r.PreferredSources, MaxResults: r.MaxResults,
			RelevanceThreshold: r.Threshold, Timeout: time.Duration(r.TimeoutMs) * time.Millisecond, Context: r.Context,
			RequesterID: r.RequesterID, Priority: r.Priority, Tags: r.Tags, CreatedAt: r.CreatedAt,
		},
		Status: r.Status, ProcessedAt: r.ProcessedAt, Error: r.Error, Retries: r.Retries,
	}
}

// Query returns a query with the state, or ErrQueryNotFound.
func (c *Client) Query(ctx context.Context, id string) (StoredQuery, error) {
	if err := check.ID("id", id); err != nil {
		return StoredQuery{}, wrap("query", err)
	}
	r, err := store.One[queryRow](ctx, c.db, "select "+queryColumns+" from knowledge.queries q where q.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return StoredQuery{}, wrap("query", store.OrMissing(err, ErrQueryNotFound))
	}
	return r.query(), nil
}

// QueryFilter selects queries. The zero value selects all queries.
type QueryFilter struct {
	Status Status // empty: in any status
	Limit  int    // 1 to modules.MaxPage; 0: modules.DefaultPage
	After  string // the Next of the previous page; empty: the first page
}

// QueriesPage returns the queries that match f, the newest first.
func (c *Client) QueriesPage(ctx context.Context, f QueryFilter) (modules.Page[StoredQuery], error) {
	where := "true"
	if f.Status != "" {
		if err := check.Enum("status", f.Status, statuses); err != nil {
			return modules.Page[StoredQuery]{}, wrap("queries", err)
		}
		where = "q.status = @status::text"
	}
	p, err := keyset.List[queryRow, StoredQuery]{
		Select:     "select " + queryColumns + " from knowledge.queries q where " + where,
		Key:        []keyset.Column{{SQL: "q.created_at", Type: keyset.Time}, {SQL: "q.id", Type: keyset.Text}},
		Descending: true,
		KeyOf:      func(r queryRow) []any { return []any{r.CreatedAt, r.ID} },
		Convert:    keyset.Always(queryRow.query),
	}.Page(ctx, c.db, f.Limit, f.After, pgx.NamedArgs{"status": f.Status})
	return p, wrap("queries", err)
}

// queryExistsSQL is the Parent of the lists of a query.
const queryExistsSQL = "select exists (select from knowledge.queries q where q.id = @query_id)"
