package webnavigator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestATraversalIsReadAsStarted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	want := webnavigator.Traversal{SessionID: "s", StartURL: page, MaxDepth: 2, MaxPages: 7, Strategy: webnavigator.DepthFirst, RespectRobots: true}
	id, err := c.StartTraversal(ctx, want)
	require.NoError(t, err)
	got, err := c.Traversal(ctx, "s")
	require.NoError(t, err)
	require.Equal(t, webnavigator.StoredTraversal{Traversal: want, ID: id, Status: webnavigator.TraversalRunning, StartedAt: got.StartedAt}, got)

	require.NoError(t, c.SetTraversalStatus(ctx, "s", webnavigator.TraversalFailed, "no network"))
	got, err = c.Traversal(ctx, "s")
	require.NoError(t, err)
	require.Equal(t, "no network", *got.Error)
	require.NotNil(t, got.CompletedAt)
	_, err = c.Traversal(as(t, "globex"), "s")
	require.ErrorIs(t, err, webnavigator.ErrTraversalNotFound)
	_, err = c.Traversal(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestTraversalsArePagedBySession(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for i := range 5 {
		startTraversal(t, ctx, c, fmt.Sprint("s", 4-i))
	}
	startTraversal(t, as(t, "globex"), c, "of globex")
	require.NoError(t, c.SetTraversalStatus(ctx, "s1", webnavigator.TraversalCompleted, ""))
	for status, want := range map[webnavigator.TraversalStatus][]string{
		"": {"s0", "s1", "s2", "s3", "s4"}, webnavigator.TraversalRunning: {"s0", "s2", "s3", "s4"}, webnavigator.TraversalFailed: nil,
	} {
		var got []string
		for _, s := range clienttest.Pages(t, len(want), func(limit int, after string) (modules.Page[webnavigator.StoredTraversal], error) {
			return c.TraversalsPage(ctx, webnavigator.TraversalFilter{Status: status, Limit: limit, After: after})
		}) {
			got = append(got, s.SessionID)
		}
		require.Equal(t, want, got, status)
	}
	_, err := c.TraversalsPage(ctx, webnavigator.TraversalFilter{Status: "odd"})
	require.ErrorContains(t, err, "status must be one of")
}

func TestNodesAreReadAsAddedInTheOrderOfTheirURLs(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	walk := startTraversal(t, ctx, c, "s")
	startTraversal(t, ctx, c, "empty")
	root := addNode(t, ctx, c, walk)
	want := webnavigator.Node{TraversalID: walk, URL: page + "/b", Depth: 2, ParentID: root, LinkText: "b", LinkType: webnavigator.Internal}
	leaf, _, err := c.AddNode(ctx, want)
	require.NoError(t, err)
	_, _, err = c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: page + "/a", Depth: 2})
	require.NoError(t, err)
	text := storeContent(t, ctx, c, page, "text")
	require.NoError(t, c.SetNodeStatus(ctx, leaf, webnavigator.NodeVisited, text, ""))
	require.NoError(t, c.SetNodeStatus(ctx, root, webnavigator.NodeError, "", "no network"))

	got, err := c.Node(ctx, leaf)
	require.NoError(t, err)
	require.NotNil(t, got.VisitedAt)
	require.Equal(t, webnavigator.StoredNode{
		Node: want, ID: leaf, Status: webnavigator.NodeVisited, ContentID: &text, DiscoveredAt: got.DiscoveredAt, VisitedAt: got.VisitedAt,
	}, got)
	got, err = c.Node(ctx, root)
	require.NoError(t, err)
	require.Equal(t, "no network", *got.Error)

	for status, want := range map[webnavigator.NodeStatus][]string{
		"": {page, page + "/a", page + "/b"}, webnavigator.NodePending: {page + "/a"}, webnavigator.NodeSkipped: nil,
	} {
		var urls []string
		for _, n := range clienttest.Pages(t, len(want), func(limit int, after string) (modules.Page[webnavigator.StoredNode], error) {
			return c.NodesPage(ctx, "s", webnavigator.NodeFilter{Status: status, Limit: limit, After: after})
		}) {
			urls = append(urls, n.URL)
		}
		require.Equal(t, want, urls, status)
	}
	none, err := c.NodesPage(ctx, "empty", webnavigator.NodeFilter{})
	require.NoError(t, err)
	require.Empty(t, none.Items)
	for _, session := range []string{"unknown", "s"} {
		_, err = c.NodesPage(as(t, "globex"), session, webnavigator.NodeFilter{})
		require.ErrorIs(t, err, webnavigator.ErrTraversalNotFound)
	}
	_, err = c.NodesPage(ctx, "s", webnavigator.NodeFilter{Status: "odd"})
	require.ErrorContains(t, err, "status must be one of")
	_, err = c.Node(as(t, "globex"), leaf)
	require.ErrorIs(t, err, webnavigator.ErrNodeNotFound)
	_, err = c.Node(ctx, "x")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestContentAndItsMetricsAreReadAsStored(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	id := storeContent(t, ctx, c, page, "text")
	require.NoError(t, c.CachePut(ctx, page, id, time.Hour))
	got, err := c.Content(ctx, id)
	require.NoError(t, err)
	cached, _, err := c.GetByURL(ctx, page)
	require.NoError(t, err)
	cached.TTL = got.TTL // the remaining time
	require.Equal(t, cached, got)

	none, err := c.MetricsPage(ctx, id, 0, "")
	require.NoError(t, err)
	require.Empty(t, none.Items)
	want := webnavigator.ExtractionMetrics{
		Total: 9 * time.Millisecond, Fetch: 5 * time.Millisecond, Parse: 3 * time.Millisecond, Sanitize: time.Millisecond, StatusCode: 200,
		ContentType: ptr("text/html"), ContentLength: ptr[int64](4), RedirectCount: 2, SSLVerified: true, MaliciousDetected: true, SanitizationApplied: true,
	}
	for range 2 {
		require.NoError(t, c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{}))
	}
	require.NoError(t, c.StoreMetrics(ctx, id, want))
	metrics := clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[webnavigator.StoredMetrics], error) {
		return c.MetricsPage(ctx, id, limit, after)
	})
	require.Equal(t, want, metrics[0].ExtractionMetrics)
	require.Len(t, metrics[0].ID, 36)
	require.False(t, metrics[0].ExtractedAt.Before(metrics[1].ExtractedAt))

	for _, id := range []string{id, nowhere} {
		_, err = c.Content(as(t, "globex"), id)
		require.ErrorIs(t, err, webnavigator.ErrContentNotFound)
		_, err = c.MetricsPage(as(t, "globex"), id, 0, "")
		require.ErrorIs(t, err, webnavigator.ErrContentNotFound)
	}
	_, err = c.Content(ctx, "x")
	require.ErrorIs(t, err, modules.ErrInvalid)
	_, err = c.MetricsPage(ctx, "x", 0, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}
