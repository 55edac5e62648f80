package webnavigator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Traversal is a walk along links from a page.
type Traversal struct {
	SessionID      string   `json:"session_id"` // the caller's, unique in the tenant, 1 to 64 bytes
	StartURL       string   `json:"start_url"`  // at most 2048 bytes
	MaxDepth       int      `json:"max_depth"`  // 1 to 10
	MaxPages       int      `json:"max_pages"`  // from 1
	Strategy       Strategy `json:"strategy"`
	SameDomainOnly bool     `json:"same_domain_only"`
	RespectRobots  bool     `json:"respect_robots"` // obey robots.txt
}

func (t Traversal) validate() error {
	return check.First(
		checkSession(t.SessionID),
		checkURL("start_url", t.StartURL),
		check.That("max_depth", "must be from 1 to 10", t.MaxDepth >= 1 && t.MaxDepth <= 10),
		check.Int32("max_pages", t.MaxPages, 1),
		check.Enum("strategy", t.Strategy, strategies),
	)
}

func checkSession(id string) error {
	return check.First(check.ID("session_id", id), check.Text("session_id", id, 64))
}

const startTraversalSQL = `
insert into web.traversals (session_id, start_url, max_depth, max_pages, strategy, same_domain_only, respect_robots_txt, status)
values (@session_id, @start_url, @max_depth::int, @max_pages::int, @strategy, @same_domain_only::bool, @respect_robots::bool, 'running')
returning id::text`

// StartTraversal adds a running traversal and returns the traversal's id, a UUID. A session
// that the tenant has already is a modules.ErrConflict.
func (c *Client) StartTraversal(ctx context.Context, t Traversal) (string, error) {
	if err := t.validate(); err != nil {
		return "", wrap("start traversal", err)
	}
	id, err := store.Value[string](ctx, c.db, startTraversalSQL, pgx.NamedArgs{
		"session_id": t.SessionID, "start_url": t.StartURL, "max_depth": t.MaxDepth, "max_pages": t.MaxPages,
		"strategy": t.Strategy, "same_domain_only": t.SameDomainOnly, "respect_robots": t.RespectRobots,
	})
	return id, wrap("start traversal", err)
}

// An ended traversal has the time of the end, and a failed traversal has an error. An open
// traversal has neither. A repeated status keeps time and error.
const setTraversalStatusSQL = `
with traversal as (
    select t.tenant_id, t.id, t.status from web.traversals t where t.session_id = @session_id for no key update
), moved as (
    update web.traversals t set
        status        = @status::text,
        completed_at  = case when @status::text not in ('completed', 'failed') then null when t.status = @status::text then t.completed_at else now() end,
        error_message = case when @status::text = 'failed' then coalesce(nullif(@error::text, ''), case when t.status = 'failed' then t.error_message end) end
    from traversal v where t.tenant_id = v.tenant_id and t.id = v.id and v.status = any(@from::text[])
    returning t.id
)
select traversal.status as before, moved.id is not null as moved from traversal left join moved on true`

// SetTraversalStatus moves a session's traversal: from pending to running and back, from
// running to completed, from both to failed, and from failed to running again. A different move is a
// [modules.StatusError]. Completed and failed stamp the time; errorText goes with failed only.
// A missing traversal is ErrTraversalNotFound.
func (c *Client) SetTraversalStatus(ctx context.Context, sessionID string, status TraversalStatus, errorText string) error {
	err := check.First(
		checkSession(sessionID),
		check.Enum("status", status, traversalStatuses),
		check.That("error_text", "must be empty unless the status is failed", errorText == "" || status == TraversalFailed),
		check.Storable("error_text", errorText),
	)
	if err != nil {
		return wrap("set traversal status", err)
	}
	args := pgx.NamedArgs{"session_id": sessionID, "status": status, "error": errorText, "from": traversalMoves.To(status)}
	m, err := store.One[move](ctx, c.db, setTraversalStatusSQL, args)
	return wrap("set traversal status", m.check("traversal", store.OrMissing(err, ErrTraversalNotFound)))
}

// move is the outcome of a change of status.
type move struct {
	Before string
	Moved  bool
}

// check returns the error of a change of status, if any.
func (m move) check(what string, err error) error {
	if err == nil && !m.Moved {
		return &modules.StatusError{What: what, Status: m.Before}
	}
	return err
}

const noteRateLimitSQL = `
with traversal as (
    select t.tenant_id, t.id, t.status from web.traversals t where t.session_id = @session_id for no key update
), noted as (
    update web.traversals t set rate_limit_encounters = t.rate_limit_encounters + 1
    from traversal v where t.tenant_id = v.tenant_id and t.id = v.id and v.status <> all(@closed::text[])
)
select traversal.status from traversal`

// NoteRateLimit counts a rate limit that a session's traversal met. A completed or failed traversal
// is a [modules.StatusError], a missing traversal ErrTraversalNotFound.
func (c *Client) NoteRateLimit(ctx context.Context, sessionID string) error {
	if err := checkSession(sessionID); err != nil {
		return wrap("note rate limit", err)
	}
	status, err := store.Value[TraversalStatus](ctx, c.db, noteRateLimitSQL, pgx.NamedArgs{"session_id": sessionID, "closed": closedTraversals.Statuses()})
	if err == nil {
		err = closedTraversals.Check("traversal", status)
	}
	return wrap("note rate limit", store.OrMissing(err, ErrTraversalNotFound))
}

// TraversalStats are a traversal's figures. The database counts with each change of a node, and
// the figures are exact.
type TraversalStats struct {
	TraversalID         string          `json:"traversal_id"`
	Status              TraversalStatus `json:"status"`
	PagesVisited        int64           `json:"pages_visited"`
	PagesSkipped        int64           `json:"pages_skipped"`
	PagesPending        int64           `json:"pages_pending"`
	ErrorsEncountered   int64           `json:"errors_encountered"`
	MaxDepthReached     int             `json:"max_depth_reached"` // of every page but the pending pages
	TotalContentBytes   int64           `json:"total_content_bytes"`
	RateLimitEncounters int             `json:"rate_limit_encounters"`
	StartedAt           time.Time       `json:"started_at"`
	CompletedAt         *time.Time      `json:"completed_at"`
}

const traversalStatsSQL = `
select traversal_id::text as traversal_id, status, pages_visited, pages_skipped, pages_pending, errors_encountered, max_depth_reached,
       total_content_bytes, rate_limit_encounters, started_at, completed_at
from web.traversal_stats where session_id = @session_id`

// TraversalStats returns the figures of a session's traversal, or
// ErrTraversalNotFound.
func (c *Client) TraversalStats(ctx context.Context, sessionID string) (TraversalStats, error) {
	if err := checkSession(sessionID); err != nil {
		return TraversalStats{}, wrap("traversal stats", err)
	}
	s, err := store.One[TraversalStats](ctx, c.db, traversalStatsSQL, pgx.NamedArgs{"session_id": sessionID})
	return s, wrap("traversal stats", store.OrMissing(err, ErrTraversalNotFound))
}
