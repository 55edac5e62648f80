package verification

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

// DefaultTimeout is the timeout of a request without a timeout.
const DefaultTimeout = 30 * time.Second

// Request is something to be verified.
type Request struct {
	ID       string         `json:"id"` // the caller's, 1 to 255 bytes
	Content  string         `json:"content"`
	Source   *string        `json:"source"`
	Context  *string        `json:"context"`
	Priority Priority       `json:"priority"`   // default Medium
	Timeout  time.Duration  `json:"timeout_ns"` // from 1 ms, kept in ms; default DefaultTimeout
	Types    []MethodType   `json:"types"`
	Metadata map[string]any `json:"metadata"`
}

func (r Request) validate() error {
	return check.First(
		check.ID("id", r.ID),
		r.validateQuestion(),
		check.Optional("context", r.Context),
		check.Enum("priority", cmp.Or(r.Priority, Medium), priorities),
		check.Timeout("timeout", r.Timeout),
	)
}

// validateQuestion checks the fields of the cache's key.
func (r Request) validateQuestion() error {
	err := check.First(check.Text("content", r.Content, math.MaxInt32), check.Optional("source", r.Source))
	for _, t := range r.Types {
		err = check.First(err, check.Enum("types", t, methodTypes))
	}
	return err
}

// CacheKey is the key of the request's result in the cache: the SHA-256, in hex, of content,
// source and types. The order of the types does not matter.
func (r Request) CacheKey() string {
	types := slices.Sorted(slices.Values(r.Types))
	// A struct of texts can always be encoded.
	raw, _ := json.Marshal(struct {
		Content string   `json:"content"`
		Source  *string  `json:"source"`
		Types   []string `json:"types"`
	}{r.Content, r.Source, sqlarg.Texts(types)})
	return sqlarg.SHA256(string(raw))
}

const saveRequestSQL = `
insert into verification.requests as r (id, content, source, context, priority, timeout_ms, verification_types, metadata, cache_key)
values (@id, @content, @source::text, @context::text, @priority, @timeout_ms::bigint, @types::text[], @metadata::text::jsonb, @cache_key)
on conflict (tenant_id, id) do update set
    content = excluded.content, source = excluded.source, context = excluded.context, priority = excluded.priority, timeout_ms = excluded.timeout_ms,
    verification_types = excluded.verification_types, metadata = excluded.metadata, cache_key = excluded.cache_key
where r.status = 'pending'`

// SaveRequest adds a request, in status Pending. If a request of the same id is still pending,
// the pending request gets the new fields of r, and keeps the place; in any other status the
// call fails with ErrStatus.
func (c *Client) SaveRequest(ctx context.Context, r Request) error {
	metadata, err := sqlarg.JSON("metadata", r.Metadata)
	if err := check.First(r.validate(), err); err != nil {
		return wrap("save request", err)
	}
	tag, err := c.db.Exec(ctx, saveRequestSQL, pgx.NamedArgs{
		"id": r.ID, "content": r.Content, "source": r.Source, "context": r.Context, "priority": cmp.Or(r.Priority, Medium),
		"timeout_ms": cmp.Or(r.Timeout, DefaultTimeout).Milliseconds(), "types": sqlarg.Texts(r.Types), "metadata": metadata, "cache_key": r.CacheKey(),
	})
	if err == nil && tag.RowsAffected() == 0 {
		err = inStatus("not pending any more")
	}
	return wrap("save request", err)
}

// byUrgency is the order of the work.
var byUrgency = []keyset.Column{{SQL: rank, Type: keyset.Integer}, {SQL: "r.created_at", Type: keyset.Time}, {SQL: "r.id", Type: keyset.Text}}

// pendingSQL has the status as text: the index is of the pending requests alone.
const pendingSQL = "select " + requestColumns + " from verification.requests r where r.status = 'pending'"

// Pending returns the requests that no verifier has begun, the most urgent first, among equals
// the oldest; limit is from 1 to 1000. With the id of a page's last request Pending returns the
// next page, also if a verifier has begun the last request since. A missing last request is
// ErrRequestNotFound. A page ends after modules.PageBytes too, with fewer requests than limit:
// PendingPage reports whether a page follows.
func (c *Client) Pending(ctx context.Context, limit int, after ...string) ([]Request, error) {
	p, err := c.PendingPage(ctx, limit, keyset.Last(after))
	return p.Items, err
}

// PendingPage is Pending for callers of page after page.
func (c *Client) PendingPage(ctx context.Context, limit int, after string) (modules.Page[Request], error) {
	err := check.First(check.That("limit", "must be from 1 to 1000", limit >= 1 && limit <= 1000), keyset.CheckID(after))
	if err != nil {
		return modules.Page[Request]{}, wrap("pending", err)
	}
	p, err := keyset.List[requestRow, Request]{
		Select:  pendingSQL,
		Key:     byUrgency,
		ID:      func(r requestRow) string { return r.ID },
		Row:     "verification.requests r where r.id = @after::text",
		Convert: keyset.Always(func(r requestRow) Request { return r.request().Request }),
		Unknown: ErrRequestNotFound,
	}.Page(ctx, c.db, limit, after, nil)
	return p, wrap("pending", err)
}
