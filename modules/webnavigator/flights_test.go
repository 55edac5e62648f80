package webnavigator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestEveryMethodIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, w := clienttest.Wired(t, "webnavigator", webnavigator.Migrations())
	c, err := webnavigator.New(webnavigator.Params{DB: db})
	require.NoError(t, err)
	ctx := as(t, "acme")
	id := storeContent(t, ctx, c, page, "text")
	walk := startTraversal(t, ctx, c, "s")
	node := addNode(t, ctx, c, walk)
	linked := func(n int) func(*webnavigator.Content) {
		return func(c *webnavigator.Content) {
			for k := range n {
				c.Links = append(c.Links, webnavigator.Link{URL: fmt.Sprint(page, k), Type: webnavigator.Internal})
			}
		}
	}
	require.NoError(t, c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{}))
	clienttest.Flights(t, w, c, map[string]func(i int) error{
		"StoreContent": func(i int) error { _, _, err := c.StoreContent(ctx, content(page, fmt.Sprint(i))); return err },
		"StoreContent: with 500 links": func(i int) error {
			_, _, err := c.StoreContent(ctx, content(page, fmt.Sprint(i), linked(500)))
			return err
		},
		"CachePut":     func(int) error { return c.CachePut(ctx, page, id, time.Hour) },
		"GetByURL":     func(int) error { _, _, err := c.GetByURL(ctx, page); return err },
		"CacheStats":   func(int) error { _, err := c.CacheStats(ctx); return err },
		"Purge":        func(int) error { _, err := c.Purge(ctx); return err },
		"StoreMetrics": func(int) error { return c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{}) },
		"RateLimit":    func(int) error { _, _, err := c.RateLimit(ctx, "example.org"); return err },
		"SetRateLimit": func(int) error {
			return c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "example.org", Status: webnavigator.RateOK})
		},
		"CountRequest":       func(int) error { _, err := c.CountRequest(ctx, "example.org", 0, 1); return err },
		"LimitedDomains":     func(int) error { _, err := c.LimitedDomains(ctx); return err },
		"LimitedDomainsPage": func(int) error { _, err := c.LimitedDomainsPage(ctx, 10, "a"); return err },
		"StartTraversal":     func(i int) error { _, err := c.StartTraversal(ctx, traversal(fmt.Sprint("s", i))); return err },
		"SetTraversalStatus": func(int) error { return c.SetTraversalStatus(ctx, "s", webnavigator.TraversalRunning, "") },
		"NoteRateLimit":      func(int) error { return c.NoteRateLimit(ctx, "s") },
		"TraversalStats":     func(int) error { _, err := c.TraversalStats(ctx, "s"); return err },
		"AddNode": func(i int) error {
			_, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: fmt.Sprint(page, i)})
			return err
		},
		"SetNodeStatus":  func(int) error { return c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, id, "") },
		"Traversal":      func(int) error { _, err := c.Traversal(ctx, "s"); return err },
		"TraversalsPage": func(int) error { _, err := c.TraversalsPage(ctx, webnavigator.TraversalFilter{}); return err },
		"Node":           func(int) error { _, err := c.Node(ctx, node); return err },
		"NodesPage":      func(int) error { _, err := c.NodesPage(ctx, "s", webnavigator.NodeFilter{}); return err },
		"Content":        func(int) error { _, err := c.Content(ctx, id); return err },
		"MetricsPage":    func(int) error { _, err := c.MetricsPage(ctx, id, 0, ""); return err },
		"CheckSchema":    func(int) error { return c.CheckSchema(ctx) },
		"Available":      func(int) error { c.Available(ctx); return nil },
	}, map[string]int64{"Purge": 4, "CheckSchema": 2, "Available": 0})
}
