package agentregistry

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// ListOptions select the page that List returns.
type ListOptions struct {
	Limit int    // at most 1000; 0 is 1000
	After string // the cursor of the previous page
}

// pageLimit is how many agents a page has at most.
const pageLimit = 1000

// cursor is the key of a page's last agent.
type cursor struct {
	LastActiveAt time.Time `json:"t"`
	ID           string    `json:"id"`
}

func (at cursor) encode() (string, error) {
	raw, err := json.Marshal(at)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

func decodeCursor(s string) (at cursor, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(raw, &at) != nil || at.LastActiveAt.IsZero() || check.ID("id", at.ID) != nil {
		return cursor{}, check.Invalid("after", "must be a cursor of an earlier page")
	}
	return at, nil
}

// The agents of a page come in the order of an index. The two parts of a later page are ranges of
// the index: the rest of the agents with the cursor's time, and the agents before. %d is the
// [keyset.Bound] of the limit.
const (
	firstSQL = `
        select * from registry.agents a order by a.last_active_at desc, a.id limit %d`
	afterSQL = `
        (select * from registry.agents a
         where a.last_active_at = @time::timestamptz and a.id > @id::text order by a.id limit %[1]d)
        union all
        (select * from registry.agents a
         where a.last_active_at < @time::timestamptz order by a.last_active_at desc, a.id limit %[1]d)`
)

// listSQL returns the statement of a page. The server looks up the details of each agent by the
// key, as in overviewSQL, and the agent itself not again.
func listSQL(agents string, limit int) string {
	return "select " + columns + " from (select * from (" + fmt.Sprintf(agents, keyset.Bound(limit)) + `
    ) a order by a.last_active_at desc, a.id limit @limit::bigint
) a, lateral (select a.*, d.* from registry.agent_details d where d.tenant_id = a.tenant_id and d.agent_id = a.id offset 0) o
order by o.last_active_at desc, o.id`
}

// List returns the agents, the last active first, and the cursor of the next page: "" on the
// last page. A page ends after modules.PageBytes too, with fewer agents than the limit. A
// cursor of foreign origin is a modules.ErrInvalid. An agent that becomes active between two
// pages moves to the front, and may appear twice or not at all.
func (c *Client) List(ctx context.Context, opts ListOptions) (page []Agent, next string, err error) {
	limit := cmp.Or(opts.Limit, pageLimit)
	if err := check.That("limit", "must be from 1 to 1000, and 0 for that", limit >= 1 && limit <= pageLimit); err != nil {
		return nil, "", wrap("list", err)
	}
	sql, args := firstSQL, pgx.NamedArgs{"limit": limit + 1} // the extra row proves a next page
	if opts.After != "" {
		at, err := decodeCursor(opts.After)
		if err != nil {
			return nil, "", wrap("list", err)
		}
		sql, args["time"], args["id"] = afterSQL, at.LastActiveAt, at.ID
	}
	rows, more, err := store.Bounded[overview](ctx, c.db, listSQL(sql, limit+1), args)
	if err != nil {
		return nil, "", wrap("list", err)
	}
	if more || len(rows) > limit {
		rows = rows[:min(len(rows), limit)]
		last := rows[len(rows)-1]
		if next, err = (cursor{last.LastActiveAt, last.ID}).encode(); err != nil {
			return nil, "", wrap("list", err)
		}
	}
	return agents(rows), next, nil
}
