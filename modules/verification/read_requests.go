package verification

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// StoredRequest is a request with the state that the database keeps.
type StoredRequest struct {
	Request
	Status         Status         `json:"status"`
	CreatedAt      time.Time      `json:"created_at"`
	StartedAt      *time.Time     `json:"started_at"`
	CompletedAt    *time.Time     `json:"completed_at"`       // the end, in any way
	ProcessingTime *time.Duration `json:"processing_time_ns"` // nil: not known
	Error          *string        `json:"error"`
	ErrorCode      *string        `json:"error_code"`
}

// requestRow is a row of verification.requests, with requestColumns.
type requestRow struct {
	ID, Content            string
	Source, Context        *string
	Priority               Priority
	Timeout                time.Duration
	Types                  []MethodType
	Metadata               map[string]any
	Status                 Status
	CreatedAt              time.Time
	StartedAt, CompletedAt *time.Time
	ProcessingTime         *time.Duration
	Error, ErrorCode       *string
	Rank                   int32
}

// rank is the priority's place in the order of the work.
const rank = "case r.priority when 'critical' then 1 when 'high' then 2 when 'medium' then 3 else 4 end"

const requestColumns = `r.id, r.content, r.source, r.context, r.priority, r.timeout_ms * interval '1 millisecond' as timeout,
r.verification_types as types, r.metadata, r.status, r.created_at, r.started_at, r.completed_at,
r.processing_time_ms * interval '1 millisecond' as processing_time, r.error_message as error, r.error_code, ` + rank + ` as rank`

func (r requestRow) request() StoredRequest {
	return StoredRequest{
		Request: Request{
			ID: r.ID, Content: r.Content, Source: r.Source, Context: r.Context, Priority: r.Priority,
			Timeout: r.Timeout, Types: r.Types, Metadata: r.Metadata,
		},
		Status: r.Status, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt,
		ProcessingTime: r.ProcessingTime, Error: r.Error, ErrorCode: r.ErrorCode,
	}
}

// Request returns a request with the state, or ErrRequestNotFound.
func (c *Client) Request(ctx context.Context, id string) (StoredRequest, error) {
	if err := check.ID("id", id); err != nil {
		return StoredRequest{}, wrap("request", err)
	}
	r, err := store.One[requestRow](ctx, c.db, "select "+requestColumns+" from verification.requests r where r.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return StoredRequest{}, wrap("request", store.OrMissing(err, ErrRequestNotFound))
	}
	return r.request(), nil
}

// RequestsPage returns the requests in a status: pending requests in the order of the work, as
// PendingPage does, and all others the newest first. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) RequestsPage(ctx context.Context, status Status, limit int, after string) (modules.Page[StoredRequest], error) {
	if err := check.Enum("status", status, statuses); err != nil {
		return modules.Page[StoredRequest]{}, wrap("requests", err)
	}
	list := keyset.List[requestRow, StoredRequest]{
		Select:     "select " + requestColumns + " from verification.requests r where r.status = @status::text",
		Key:        []keyset.Column{{SQL: "r.created_at", Type: keyset.Time}, {SQL: "r.id", Type: keyset.Text}},
		Descending: true,
		KeyOf:      func(r requestRow) []any { return []any{r.CreatedAt, r.ID} },
		Convert:    keyset.Always(requestRow.request),
	}
	if status == Pending {
		list.Select, list.Key, list.Descending = pendingSQL, byUrgency, false
		list.KeyOf = func(r requestRow) []any { return []any{r.Rank, r.CreatedAt, r.ID} }
	}
	p, err := list.Page(ctx, c.db, limit, after, pgx.NamedArgs{"status": status})
	return p, wrap("requests", err)
}
