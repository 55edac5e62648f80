package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/agentagency/onepool/modules/webnavigator"
)

type storedContent struct {
	ID       string `json:"id"`
	Inserted bool   `json:"inserted"` // false: refreshed a stored page
}

type newCachedPage struct {
	URL       string        `json:"url"`
	ContentID string        `json:"content_id"`
	TTL       time.Duration `json:"ttl_ns"`
}

type session struct {
	Session string `path:"session"`
}

type startedTraversal struct {
	ID      string `json:"id"`
	Session string `json:"session_id"`
}

type traversalList struct {
	Traversals []webnavigator.StoredTraversal `json:"traversals"`
	Next       string                         `json:"next,omitempty"`
}

type nodeFilter struct {
	Session string                  `path:"session"`
	Status  webnavigator.NodeStatus `query:"status"`
	Limit   int                     `query:"limit"`
	After   string                  `query:"after"`
}

type nodeList struct {
	Nodes []webnavigator.StoredNode `json:"nodes"`
	Next  string                    `json:"next,omitempty"`
}

type extractionList struct {
	Metrics []webnavigator.StoredMetrics `json:"metrics"`
	Next    string                       `json:"next,omitempty"`
}

type traversalStatus struct {
	Status webnavigator.TraversalStatus `json:"status"`
	Error  string                       `json:"error"`
}

type addedNode struct {
	ID      string `json:"id"`
	Existed bool   `json:"existed"`
}

type nodeStatus struct {
	Status    webnavigator.NodeStatus `json:"status"`
	ContentID string                  `json:"content_id"`
	Error     string                  `json:"error"`
}

type domain struct {
	Domain string `path:"domain"`
}

type countedRequest struct {
	Window time.Duration `json:"window_ns"`
	Limit  int           `json:"limit"`
}

type domainList struct {
	Domains []webnavigator.LimitedDomain `json:"domains"`
	Next    string                       `json:"next,omitempty"`
}

func webRoutes(c *webnavigator.Client) routes {
	return routes{
		"POST /web/contents": gives(func(ctx context.Context, in posted[webnavigator.Content]) (out storedContent, err error) {
			if in.Body.ID != "" {
				return out, badRequest("id is made by the server")
			}
			out.ID, out.Inserted, err = c.StoreContent(ctx, in.Body)
			return out, err
		}),
		"GET /web/contents/{id}": readsOf(c.Content),
		"GET /web/contents/{id}/metrics": gives(func(ctx context.Context, in listedOf) (extractionList, error) {
			page, err := c.MetricsPage(ctx, in.ID, in.Limit, in.After)
			return extractionList{list(page.Items), page.Next}, err
		}),
		"POST /web/contents/{id}/metrics": does(func(ctx context.Context, in postedTo[webnavigator.ExtractionMetrics]) error {
			return c.StoreMetrics(ctx, in.ID, in.Body)
		}),
		"GET /web/cache": gives(func(ctx context.Context, in struct {
			URL string `query:"url"`
		}) (webnavigator.Content, error) {
			content, found, err := c.GetByURL(ctx, in.URL)
			return content, orMissing(found, err)
		}),
		"PUT /web/cache": does(func(ctx context.Context, in posted[newCachedPage]) error {
			return c.CachePut(ctx, in.Body.URL, in.Body.ContentID, in.Body.TTL)
		}),
		"GET /web/cache/stats": reads(c.CacheStats),
		"POST /web/purge":      reads(c.Purge),

		// A traversal's path has the session: the answer has both the session and the id.
		"POST /web/traversals": makes(http.StatusCreated,
			func(s startedTraversal) string { return "/web/traversals/" + url.PathEscape(s.Session) },
			func(ctx context.Context, in posted[webnavigator.Traversal]) (startedTraversal, error) {
				id, err := c.StartTraversal(ctx, in.Body)
				return startedTraversal{id, in.Body.SessionID}, err
			}),
		"GET /web/traversals": gives(func(ctx context.Context, in listedBy[webnavigator.TraversalStatus]) (traversalList, error) {
			page, err := c.TraversalsPage(ctx, webnavigator.TraversalFilter{Status: in.Status, Limit: in.Limit, After: in.After})
			return traversalList{list(page.Items), page.Next}, err
		}),
		"GET /web/traversals/{session}": gives(func(ctx context.Context, in session) (webnavigator.StoredTraversal, error) {
			return c.Traversal(ctx, in.Session)
		}),
		"GET /web/traversals/{session}/nodes": gives(func(ctx context.Context, in nodeFilter) (nodeList, error) {
			page, err := c.NodesPage(ctx, in.Session, webnavigator.NodeFilter{Status: in.Status, Limit: in.Limit, After: in.After})
			return nodeList{list(page.Items), page.Next}, err
		}),
		"GET /web/traversals/{session}/stats": gives(func(ctx context.Context, in session) (webnavigator.TraversalStats, error) {
			return c.TraversalStats(ctx, in.Session)
		}),
		"PUT /web/traversals/{session}/status": does(func(ctx context.Context, in struct {
			Session string `path:"session"`
			Body    traversalStatus
		}) error {
			return c.SetTraversalStatus(ctx, in.Session, in.Body.Status, in.Body.Error)
		}),
		"POST /web/traversals/{session}/rate-limits": does(func(ctx context.Context, in session) error {
			return c.NoteRateLimit(ctx, in.Session)
		}),
		"POST /web/nodes": gives(func(ctx context.Context, in posted[webnavigator.Node]) (out addedNode, err error) {
			out.ID, out.Existed, err = c.AddNode(ctx, in.Body)
			return out, err
		}),
		"GET /web/nodes/{id}": readsOf(c.Node),
		"PUT /web/nodes/{id}/status": does(func(ctx context.Context, in postedTo[nodeStatus]) error {
			return c.SetNodeStatus(ctx, in.ID, in.Body.Status, in.Body.ContentID, in.Body.Error)
		}),

		// The rate limits of sites are the same for all tenants. Tenants count requests; an
		// operator sets a site's limits.
		"GET /web/rate-limits": gives(func(ctx context.Context, in listed) (domainList, error) {
			page, err := c.LimitedDomainsPage(ctx, cmp.Or(in.Limit, pageSize), in.After)
			return domainList{list(page.Items), page.Next}, err
		}),
		"GET /web/rate-limits/{domain}": gives(func(ctx context.Context, in domain) (webnavigator.RateLimit, error) {
			l, found, err := c.RateLimit(ctx, in.Domain)
			return l, orMissing(found, err)
		}),
		"POST /web/rate-limits/{domain}/requests": gives(func(ctx context.Context, in struct {
			Domain string `path:"domain"`
			Body   countedRequest
		}) (webnavigator.Decision, error) {
			return c.CountRequest(ctx, in.Domain, in.Body.Window, in.Body.Limit)
		}),
	}
}
