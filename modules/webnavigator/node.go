package webnavigator

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Node is a page of a traversal.
type Node struct {
	TraversalID string   `json:"traversal_id"`
	URL         string   `json:"url"`       // at most 2048 bytes
	Depth       int      `json:"depth"`     // from 0
	ParentID    string   `json:"parent_id"` // the node with a link to the page; empty: none
	LinkText    string   `json:"link_text"`
	LinkType    LinkType `json:"link_type"` // empty: not known
}

func (n Node) validate() error {
	err := check.First(
		check.UUID("traversal_id", n.TraversalID),
		checkURL("url", n.URL),
		check.Int32("depth", n.Depth, 0),
		check.Storable("link_text", n.LinkText),
	)
	if n.ParentID != "" {
		err = check.First(err, check.UUID("parent_id", n.ParentID))
	}
	if n.LinkType != "" {
		err = check.First(err, check.Enum("link_type", n.LinkType, linkTypes))
	}
	return err
}

// The second statement sees the commit of a concurrent call that the first statement waited
// for; both statements are a single transaction in the same round trip. Neither locks the
// traversal: a page that comes at the same time as the traversal's end came before the end.
const (
	addNodeSQL = `
insert into web.traversal_nodes (traversal_id, url, depth, parent_id, link_text, link_type)
select t.id, @url::text, @depth::int, nullif(@parent_id::text, '')::uuid, nullif(@link_text::text, ''), nullif(@link_type::text, '')
from web.traversals t
where t.id = @traversal_id::uuid and t.status <> all(@closed::text[]) and @depth::int <= t.max_depth and (@parent_id::text = '' or exists (
    select from web.traversal_nodes p where p.tenant_id = t.tenant_id and p.traversal_id = t.id and p.id = nullif(@parent_id::text, '')::uuid))
on conflict (tenant_id, traversal_id, url) do nothing
returning id::text`

	findNodeSQL = `
select t.status, t.max_depth, @parent_id::text = '' or exists (
           select from web.traversal_nodes p where p.tenant_id = t.tenant_id and p.traversal_id = t.id and p.id = nullif(@parent_id::text, '')::uuid) as has_parent,
       coalesce((select n.id::text from web.traversal_nodes n where n.tenant_id = t.tenant_id and n.traversal_id = t.id and n.url = @url::text), '') as id
from web.traversals t where t.id = @traversal_id::uuid`
)

// AddNode adds a page to visit and returns the node's id, a UUID. A traversal has each URL
// once: for a known URL AddNode returns the existing node's id, and existed is true. A missing
// traversal, or a parent outside the traversal, is a modules.ErrReference; a depth beyond the
// traversal's depth a modules.ErrInvalid. A completed or failed traversal takes no new page: a
// [modules.StatusError].
func (c *Client) AddNode(ctx context.Context, n Node) (id string, existed bool, err error) {
	if err := n.validate(); err != nil {
		return "", false, wrap("add node", err)
	}
	args := pgx.NamedArgs{
		"traversal_id": n.TraversalID, "url": n.URL, "depth": n.Depth, "parent_id": n.ParentID,
		"link_text": n.LinkText, "link_type": n.LinkType, "closed": closedTraversals.Statuses(),
	}
	var traversal TraversalStatus
	var maxDepth int
	var hasParent bool
	err = store.Batch(ctx, c.db, func(b *pgx.Batch) {
		b.Queue(addNodeSQL, args).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&id)
			if existed = errors.Is(err, pgx.ErrNoRows); existed {
				return nil
			}
			return err
		})
		b.Queue(findNodeSQL, args).QueryRow(func(row pgx.Row) error { return row.Scan(&traversal, &maxDepth, &hasParent, &id) })
	})
	switch {
	case err != nil:
		err = store.OrMissing(err, ErrUnknownTraversal)
	case id != "":
		return id, existed, nil
	case !hasParent:
		err = ErrUnknownParent
	case n.Depth > maxDepth:
		err = check.Invalid("depth", fmt.Sprintf("must be at most max_depth, which is %d", maxDepth))
	default:
		err = closedTraversals.Check("traversal", traversal)
	}
	return "", false, wrap("add node", err)
}

// A pending page has neither the time of a visit nor an error. A repeated status keeps time and
// error. Content counts once. The bytes are a row of differences, and wait for no other node of
// the traversal.
const setNodeStatusSQL = `
with node as (
    select n.tenant_id, n.id, n.status, n.content_id, t.status as traversal
    from web.traversal_nodes n join web.traversals t on t.tenant_id = n.tenant_id and t.id = n.traversal_id
    where n.id = @id::uuid for no key update of n
), changed as (
    update web.traversal_nodes n set
        status        = @status::text,
        visited_at    = case when @status::text = 'pending' then null when n.status = @status::text then n.visited_at else now() end,
        content_id    = coalesce(nullif(@content_id::text, '')::uuid, n.content_id),
        error_message = case when @status::text = 'error' then coalesce(nullif(@error::text, ''), case when n.status = 'error' then n.error_message end) end
    from node where n.tenant_id = node.tenant_id and n.id = node.id and node.status = any(@from::text[]) and node.traversal <> all(@closed::text[])
    returning n.tenant_id, n.traversal_id, n.content_id
), counted as (
    insert into web.node_counts (tenant_id, traversal_id, status, depth, bytes)
    select changed.tenant_id, changed.traversal_id, 'visited', 0, c.content_size_bytes
    from node, changed join web.contents c on c.tenant_id = changed.tenant_id and c.id = changed.content_id
    where node.content_id is distinct from changed.content_id
)
select node.status as before, node.traversal, changed.tenant_id is not null as moved from node left join changed on true`

// SetNodeStatus moves a page: from pending to visited, skipped or error, and from error to
// pending, visited or skipped. A different move, or a page of a completed or failed traversal, is
// a [modules.StatusError]. Visited, skipped and error stamp the time; errorText goes with error
// only. An empty contentID keeps the node's content; new content adds to the traversal's bytes. A
// missing node is ErrNodeNotFound, missing content a modules.ErrReference.
func (c *Client) SetNodeStatus(ctx context.Context, id string, status NodeStatus, contentID, errorText string) error {
	err := check.First(
		check.UUID("id", id),
		check.Enum("status", status, nodeStatuses),
		check.That("error_text", "must be empty unless the status is error", errorText == "" || status == NodeError),
		check.Storable("error_text", errorText),
	)
	if contentID != "" {
		err = check.First(err, check.UUID("content_id", contentID))
	}
	if err != nil {
		return wrap("set node status", err)
	}
	m, err := store.One[struct {
		move
		Traversal TraversalStatus
	}](ctx, c.db, setNodeStatusSQL, pgx.NamedArgs{
		"id": id, "status": status, "content_id": contentID, "error": errorText, "from": nodeMoves.To(status), "closed": closedTraversals.Statuses(),
	})
	if err == nil {
		err = closedTraversals.Check("traversal", m.Traversal)
	}
	return wrap("set node status", m.check("page", store.OrMissing(err, ErrNodeNotFound)))
}
