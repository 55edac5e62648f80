package agentregistry

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
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
	if err != nil || json.Unmarshal(raw, &at) != nil || at.LastActiveAt.IsZero() || modules.CheckID("id", at.ID) != nil {
		return cursor{}, modules.Invalid("after", "must be a cursor of an earlier page")
	}
	return at, nil
}

// The first condition bounds the scan of the index, the second breaks the tie.
const (
	listSQL  = "select " + columns + " from registry.agent_overview o %s order by o.last_active_at desc, o.id limit @limit::bigint"
	afterSQL = "where o.last_active_at <= @time::timestamptz and (o.last_active_at < @time::timestamptz or o.id > @id::text)"
)

// List returns the agents, the last active first, and the cursor of the next page: "" on the
// last page. A page ends after modules.PageBytes too, with fewer agents than the limit. A
// cursor of foreign origin is a modules.ErrInvalid. An agent that becomes active between two
// pages moves to the front, and may appear twice or not at all.
func (c *Client) List(ctx context.Context, opts ListOptions) (page []Agent, next string, err error) {
	limit := cmp.Or(opts.Limit, pageLimit)
	if err := modules.Check("limit", "must be from 1 to 1000, and 0 for that", limit >= 1 && limit <= pageLimit); err != nil {
		return nil, "", wrap("list", err)
	}
	where, args := "", pgx.NamedArgs{"limit": limit + 1} // the extra row proves a next page
	if opts.After != "" {
		at, err := decodeCursor(opts.After)
		if err != nil {
			return nil, "", wrap("list", err)
		}
		where, args["time"], args["id"] = afterSQL, at.LastActiveAt, at.ID
	}
	rows, more, err := modules.Bounded[overview](ctx, c.db, fmt.Sprintf(listSQL, where), args)
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
