package webnavigator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// StoredTraversal is a traversal with the state that the database keeps.
type StoredTraversal struct {
	Traversal
	ID          string          `json:"id"` // a UUID
	Status      TraversalStatus `json:"status"`
	Error       *string         `json:"error"` // of a failed traversal
	StartedAt   time.Time       `json:"started_at"`
	CompletedAt *time.Time      `json:"completed_at"` // nil: the traversal has not ended
}

// traversalRow is a row of web.traversals, with traversalColumns.
type traversalRow struct {
	SessionID, StartURL           string
	MaxDepth, MaxPages            int
	Strategy                      Strategy
	SameDomainOnly, RespectRobots bool
	ID                            string
	Status                        TraversalStatus
	Error                         *string
	StartedAt                     time.Time
	CompletedAt                   *time.Time
}

const traversalColumns = `t.session_id, t.start_url, t.max_depth, t.max_pages, t.strategy, t.same_domain_only,
t.respect_robots_txt as respect_robots, t.id::text as id, t.status, t.error_message as error, t.started_at, t.completed_at`

func (r traversalRow) traversal() StoredTraversal {
	return StoredTraversal{
		Traversal: Traversal{
			SessionID: r.SessionID, StartURL: r.StartURL, MaxDepth: r.MaxDepth, MaxPages: r.MaxPages, Strategy: r.Strategy,
			SameDomainOnly: r.SameDomainOnly, RespectRobots: r.RespectRobots,
		},
		ID: r.ID, Status: r.Status, Error: r.Error, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt,
	}
}

// Traversal returns a session's traversal with the state, or ErrTraversalNotFound.
func (c *Client) Traversal(ctx context.Context, sessionID string) (StoredTraversal, error) {
	if err := checkSession(sessionID); err != nil {
		return StoredTraversal{}, wrap("traversal", err)
	}
	r, err := store.One[traversalRow](ctx, c.db, "select "+traversalColumns+" from web.traversals t where t.session_id = @session_id",
		pgx.NamedArgs{"session_id": sessionID})
	if err != nil {
		return StoredTraversal{}, wrap("traversal", store.OrMissing(err, ErrTraversalNotFound))
	}
	return r.traversal(), nil
}

// TraversalFilter selects traversals. The zero value selects all traversals.
type TraversalFilter struct {
	Status TraversalStatus // empty: in any status
	Limit  int             // 1 to modules.MaxPage; 0: modules.DefaultPage
	After  string          // the Next of the previous page; empty: the first page
}

// TraversalsPage returns the traversals that match f, in the order of the sessions' ids.
func (c *Client) TraversalsPage(ctx context.Context, f TraversalFilter) (modules.Page[StoredTraversal], error) {
	where := "true"
	if f.Status != "" {
		if err := check.Enum("status", f.Status, traversalStatuses); err != nil {
			return modules.Page[StoredTraversal]{}, wrap("traversals", err)
		}
		where = "t.status = @status::text"
	}
	p, err := keyset.List[traversalRow, StoredTraversal]{
		Select:  "select " + traversalColumns + " from web.traversals t where " + where,
		Key:     []keyset.Column{{SQL: "t.session_id", Type: keyset.Text}},
		KeyOf:   func(r traversalRow) []any { return []any{r.SessionID} },
		Convert: keyset.Always(traversalRow.traversal),
	}.Page(ctx, c.db, f.Limit, f.After, pgx.NamedArgs{"status": f.Status})
	return p, wrap("traversals", err)
}
