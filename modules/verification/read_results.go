package verification

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// ResultsPage returns the results of a request with the evidence, the newest first, and
// ErrRequestNotFound for a missing request. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page. A page ends after
// modules.PageBytes too.
func (c *Client) ResultsPage(ctx context.Context, requestID string, limit int, after string) (modules.Page[Result], error) {
	if err := modules.CheckID("request_id", requestID); err != nil {
		return modules.Page[Result]{}, wrap("results", err)
	}
	p, err := modules.Keyset[resultRow, Result]{
		Select:     resultColumnsSQL,
		Key:        []modules.KeyColumn{{SQL: "r.created_at", Type: modules.KeyTime}, {SQL: "r.id", Type: modules.KeyUUID}},
		Descending: true,
		KeyOf:      func(r resultRow) []any { return []any{r.CreatedAt, r.ID} },
		Convert:    modules.Always(resultRow.result),
		Parent:     "select exists (select from verification.requests r where r.id = @request_id)",
		Unknown:    ErrRequestNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"request_id": requestID})
	return p, wrap("results", err)
}
