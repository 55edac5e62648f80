package verification

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// ResultsPage returns the results of a request with the evidence, the newest first, and
// ErrRequestNotFound for a missing request. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page. A page ends after
// modules.PageBytes too.
func (c *Client) ResultsPage(ctx context.Context, requestID string, limit int, after string) (modules.Page[Result], error) {
	if err := check.ID("request_id", requestID); err != nil {
		return modules.Page[Result]{}, wrap("results", err)
	}
	p, err := keyset.List[resultRow, Result]{
		Select:     resultColumnsSQL,
		Key:        []keyset.Column{{SQL: "r.created_at", Type: keyset.Time}, {SQL: "r.id", Type: keyset.UUID}},
		Descending: true,
		KeyOf:      func(r resultRow) []any { return []any{r.CreatedAt, r.ID} },
		Convert:    keyset.Always(resultRow.result),
		Parent:     "select exists (select from verification.requests r where r.id = @request_id)",
		Unknown:    ErrRequestNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"request_id": requestID})
	return p, wrap("results", err)
}
