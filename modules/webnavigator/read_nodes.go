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

// StoredNode is a page of a traversal with the state that the database keeps.
type StoredNode struct {
	Node
	ID           string     `json:"id"` // a UUID
	Status       NodeStatus `json:"status"`
	ContentID    *string    `json:"content_id"` // nil: without content
	Error        *string    `json:"error"`
	DiscoveredAt time.Time  `json:"discovered_at"`
	VisitedAt    *time.Time `json:"visited_at"` // nil: the page is pending
}

// nodeRow is a row of web.traversal_nodes, with nodeColumns.
type nodeRow struct {
	TraversalID, URL string
	Depth            int
	ParentID         string
	LinkText         string
	LinkType         LinkType
	ID               string
	Status           NodeStatus
	ContentID, Error *string
	DiscoveredAt     time.Time
	VisitedAt        *time.Time
}

const nodeColumns = `n.traversal_id::text as traversal_id, n.url, n.depth, coalesce(n.parent_id::text, '') as parent_id, coalesce(n.link_text, '') as link_text,
coalesce(n.link_type, '') as link_type, n.id::text as id, n.status, n.content_id::text as content_id, n.error_message as error, n.discovered_at, n.visited_at`

func (r nodeRow) node() StoredNode {
	return StoredNode{
		Node: Node{TraversalID: r.TraversalID, URL: r.URL, Depth: r.Depth, ParentID: r.ParentID, LinkText: r.LinkText, LinkType: r.LinkType},
		ID:   r.ID, Status: r.Status, ContentID: r.ContentID, Error: r.Error, DiscoveredAt: r.DiscoveredAt, VisitedAt: r.VisitedAt,
	}
}

// Node returns a page of a traversal with the state, or ErrNodeNotFound.
func (c *Client) Node(ctx context.Context, id string) (StoredNode, error) {
	if err := check.UUID("id", id); err != nil {
		return StoredNode{}, wrap("node", err)
	}
	r, err := store.One[nodeRow](ctx, c.db, "select "+nodeColumns+" from web.traversal_nodes n where n.id = @id::uuid", pgx.NamedArgs{"id": id})
	if err != nil {
		return StoredNode{}, wrap("node", store.OrMissing(err, ErrNodeNotFound))
	}
	return r.node(), nil
}

// NodeFilter selects pages of a traversal. The zero value selects all pages.
type NodeFilter struct {
	Status NodeStatus // empty: in any status
	Limit  int        // 1 to modules.MaxPage; 0: modules.DefaultPage
	After  string     // the Next of the previous page; empty: the first page
}

// NodesPage returns the pages of a session's traversal that match f, in the order of the URLs,
// and ErrTraversalNotFound for a missing traversal.
func (c *Client) NodesPage(ctx context.Context, sessionID string, f NodeFilter) (modules.Page[StoredNode], error) {
	err := checkSession(sessionID)
	where := "n.traversal_id = (select t.id from web.traversals t where t.session_id = @session_id)"
	if f.Status != "" {
		err = check.First(err, check.Enum("status", f.Status, nodeStatuses))
		where += " and n.status = @status::text"
	}
	if err != nil {
		return modules.Page[StoredNode]{}, wrap("nodes", err)
	}
	p, err := keyset.List[nodeRow, StoredNode]{
		Select:  "select " + nodeColumns + " from web.traversal_nodes n where " + where,
		Key:     []keyset.Column{{SQL: "n.url", Type: keyset.Text}},
		KeyOf:   func(r nodeRow) []any { return []any{r.URL} },
		Convert: keyset.Always(nodeRow.node),
		Parent:  "select exists (select from web.traversals t where t.session_id = @session_id)",
		Unknown: ErrTraversalNotFound,
	}.Page(ctx, c.db, f.Limit, f.After, pgx.NamedArgs{"session_id": sessionID, "status": f.Status})
	return p, wrap("nodes", err)
}
