package knowledge

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Query is a research question.
type Query struct {
	ID                 string         `json:"id"` // the caller's, 1 to 255 bytes; default: a new UUID
	Text               string         `json:"text"`
	Type               QueryType      `json:"type"`
	PreferredSources   []SourceType   `json:"preferred_sources"`
	MaxResults         int            `json:"max_results"`         // from 1
	RelevanceThreshold float64        `json:"relevance_threshold"` // 0 to 1
	Timeout            time.Duration  `json:"timeout_ns"`          // from 1 ms, kept in ms
	Context            map[string]any `json:"context"`
	RequesterID        string         `json:"requester_id"` // 1 to 255 bytes
	Priority           int            `json:"priority"`     // 1 to 10
	Tags               []string       `json:"tags"`         // at most 255 bytes each
	CreatedAt          time.Time      `json:"created_at"`   // default now
}

func (q Query) validate() error {
	err := check.First(
		check.Text("text", q.Text, math.MaxInt32),
		check.Enum("type", q.Type, queryTypes),
		check.Int32("max_results", q.MaxResults, 1),
		check.Share("relevance_threshold", q.RelevanceThreshold),
		check.That("timeout", "must be at least 1ms", q.Timeout >= time.Millisecond),
		check.Timeout("timeout", q.Timeout),
		check.Ranges(q),
		check.Past("created_at", q.CreatedAt),
		check.ID("requester_id", q.RequesterID),
		check.That("priority", "must be from 1 to 10", q.Priority >= 1 && q.Priority <= 10),
		check.Storable("tags", q.Tags...),
	)
	for _, s := range q.PreferredSources {
		err = check.First(err, check.Enum("preferred_sources", s, sourceTypes))
	}
	for _, tag := range q.Tags {
		err = check.First(err, check.That("tags", "must be at most 255 bytes each", len(tag) <= 255))
	}
	if q.ID != "" {
		err = check.First(err, check.ID("id", q.ID))
	}
	return err
}

// QueryOption changes how StoreQuery stores a query.
type QueryOption func(*Status)

// AsPending stores the query for later, with status Pending instead of Processing.
func AsPending() QueryOption { return func(s *Status) { *s = Pending } }

const storeQuerySQL = `
insert into knowledge.queries (id, query_text, query_type, preferred_sources, requester_id, priority, max_results,
    relevance_threshold, timeout_ms, context, tags, status, created_at)
values (coalesce(nullif(@id::text, ''), gen_random_uuid()::text), @text, @type, @sources::text[], @requester_id, @priority::int,
    @max_results::int, @threshold::float8, @timeout_ms::bigint, @context::jsonb, @tags::text[], @status::text,
    coalesce(@created_at::timestamptz, now()))
returning id`

// StoreQuery adds a query, in status Processing, and returns the id. An id that the tenant has
// already is a modules.ErrConflict.
func (c *Client) StoreQuery(ctx context.Context, q Query, opts ...QueryOption) (string, error) {
	if err := q.validate(); err != nil {
		return "", wrap("store query", err)
	}
	background, err := sqlarg.JSON("context", q.Context)
	if err != nil {
		return "", wrap("store query", err)
	}
	status := Processing
	for _, o := range opts {
		o(&status)
	}
	id, err := store.Value[string](ctx, c.db, storeQuerySQL, pgx.NamedArgs{
		"id": q.ID, "text": q.Text, "type": q.Type, "sources": sqlarg.Texts(q.PreferredSources), "requester_id": q.RequesterID,
		"priority": q.Priority, "max_results": q.MaxResults, "threshold": q.RelevanceThreshold,
		"timeout_ms": q.Timeout.Milliseconds(), "context": background, "tags": sqlarg.Texts(q.Tags), "status": status,
		"created_at": sqlarg.OrNull(q.CreatedAt),
	})
	return id, wrap("store query", err)
}

// An ended query has the time of the end, and a failed query has an error. An open query has
// neither. A repeated status keeps time and error.
const setQueryStatusSQL = `
with query as (
    select q.tenant_id, q.id, q.status from knowledge.queries q where q.id = @id for no key update
), moved as (
    update knowledge.queries q set
        status        = @status::text,
        processed_at  = case when @status::text not in ('completed', 'failed') then null when q.status = @status::text then q.processed_at else now() end,
        error_message = case when @status::text = 'failed' then coalesce(nullif(@error::text, ''), case when q.status = 'failed' then q.error_message end) end,
        retry_count   = q.retry_count + (q.status = 'failed' and @status::text = 'processing')::int
    from query v where q.tenant_id = v.tenant_id and q.id = v.id and v.status = any(@from::text[])
    returning q.id
)
select query.status as before, moved.id is not null as moved from query left join moved on true`

// SetQueryStatus moves a query: from Pending to Processing and back, from both to Completed or
// Failed, and from Failed to Pending or Processing again. A different move is a
// [modules.StatusError]. Completed and Failed stamp the time; errorText goes with Failed only;
// a move from Failed to Processing is a retry, and counted. A missing query is
// ErrQueryNotFound.
func (c *Client) SetQueryStatus(ctx context.Context, id string, status Status, errorText string) error {
	err := check.First(
		check.ID("id", id),
		check.Enum("status", status, statuses),
		check.That("error_text", "must be empty unless the status is failed", errorText == "" || status == Failed),
		check.Storable("error_text", errorText),
	)
	if err != nil {
		return wrap("set query status", err)
	}
	m, err := store.One[struct {
		Before string
		Moved  bool
	}](ctx, c.db, setQueryStatusSQL, pgx.NamedArgs{"id": id, "status": status, "error": errorText, "from": moves.To(status)})
	err = store.OrMissing(err, ErrQueryNotFound)
	if err == nil && !m.Moved {
		err = &modules.StatusError{What: "query", Status: m.Before}
	}
	return wrap("set query status", err)
}
