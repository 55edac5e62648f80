package webnavigator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestATraversalMovesAsItMay(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	startTraversal(t, ctx, c, "s")
	all := []webnavigator.TraversalStatus{
		webnavigator.TraversalPending, webnavigator.TraversalRunning, webnavigator.TraversalCompleted, webnavigator.TraversalFailed,
	}
	legal := map[string]bool{
		"pending to pending": true, "pending to running": true, "pending to failed": true,
		"running to pending": true, "running to running": true, "running to completed": true, "running to failed": true,
		"failed to running": true, "failed to failed": true, "completed to completed": true,
	}
	for _, from := range all {
		for _, to := range all {
			move := string(from + " to " + to)
			exec(t, ctx, db, "update web.traversals set completed_at = now() - interval '1 day', status = '"+string(from)+"'")
			err := c.SetTraversalStatus(ctx, "s", to, "")
			s, statsErr := c.TraversalStats(ctx, "s")
			require.NoError(t, statsErr)
			if !legal[move] {
				require.ErrorIs(t, err, modules.ErrConflict, move)
				require.ErrorContains(t, err, "traversal is "+string(from)+": its status does not allow this")
				require.Equal(t, from, s.Status)
				continue
			}
			require.NoError(t, err, move)
			require.Equal(t, to, s.Status)
			ended := to == webnavigator.TraversalCompleted || to == webnavigator.TraversalFailed
			require.Equal(t, ended, s.CompletedAt != nil, "%s: a traversal that runs has not ended", move)
		}
	}
}

func TestAPageMovesAsItMay(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	node := addNode(t, ctx, c, startTraversal(t, ctx, c, "s"))
	all := []webnavigator.NodeStatus{webnavigator.NodePending, webnavigator.NodeVisited, webnavigator.NodeSkipped, webnavigator.NodeError}
	legal := map[string]bool{
		"pending to pending": true, "pending to visited": true, "pending to skipped": true, "pending to error": true,
		"error to pending": true, "error to visited": true, "error to skipped": true, "error to error": true,
		"visited to visited": true, "skipped to skipped": true,
	}
	for _, from := range all {
		for _, to := range all {
			move := string(from + " to " + to)
			exec(t, ctx, db, "update web.traversal_nodes set visited_at = now() - interval '1 day', error_message = 'old', status = '"+string(from)+"'")
			err := c.SetNodeStatus(ctx, node, to, "", "")
			got, readErr := c.Node(ctx, node)
			require.NoError(t, readErr)
			if !legal[move] {
				require.ErrorIs(t, err, modules.ErrConflict, move)
				require.ErrorContains(t, err, "page is "+string(from)+": its status does not allow this")
				require.Equal(t, from, got.Status)
				continue
			}
			require.NoError(t, err, move)
			require.Equal(t, to, got.Status)
			require.Equal(t, to == webnavigator.NodePending, got.VisitedAt == nil, move)
			require.Equal(t, move == "error to error", got.Error != nil, move)
			if from == to && to != webnavigator.NodePending {
				require.Greater(t, time.Since(*got.VisitedAt), 23*time.Hour, "%s: a repeated status keeps its time", move)
			}
		}
	}
}

func TestATraversalThatHasEndedTakesNothingMore(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	walk := startTraversal(t, ctx, c, "s")
	node := addNode(t, ctx, c, walk)
	content := storeContent(t, ctx, c, page, "text")
	add := func(url string) func() error {
		return func() error {
			_, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: url})
			return err
		}
	}
	for _, call := range []struct {
		name  string
		do    func() error
		ended bool // allowed after the end too
	}{
		{"a new page", add("new"), false},
		{"a known page", add(page), true},
		{"the status of a page", func() error { return c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, content, "") }, false},
		{"a page's error", func() error { return c.SetNodeStatus(ctx, node, webnavigator.NodeError, "", "why") }, false},
		{"a rate limit", func() error { return c.NoteRateLimit(ctx, "s") }, false},
	} {
		for status, do := range map[webnavigator.TraversalStatus]string{
			webnavigator.TraversalPending: "", webnavigator.TraversalRunning: "",
			webnavigator.TraversalCompleted: "start a new traversal", webnavigator.TraversalFailed: "set the traversal's status to running first",
		} {
			name := call.name + " of a traversal that is " + string(status)
			exec(t, ctx, db, "delete from web.traversal_nodes where url = 'new'")
			exec(t, ctx, db, "update web.traversal_nodes set status = 'pending', visited_at = null, content_id = null, error_message = null")
			exec(t, ctx, db, "update web.traversals set status = '"+string(status)+"'")
			before, err := c.TraversalStats(ctx, "s")
			require.NoError(t, err)
			err = call.do()
			after, statsErr := c.TraversalStats(ctx, "s")
			require.NoError(t, statsErr)
			if do == "" || call.ended {
				require.NoError(t, err, name)
				require.Equal(t, call.ended, before == after, name)
				continue
			}
			require.ErrorIs(t, err, modules.ErrConflict, name)
			require.ErrorContains(t, err, "traversal is "+string(status)+": its status does not allow this: "+do)
			require.Equal(t, before, after, name)
		}
	}
}

func TestANodeIsWithinItsTraversal(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	walk, other := startTraversal(t, ctx, c, "s"), startTraversal(t, ctx, c, "other")
	root, stranger := addNode(t, ctx, c, walk), addNode(t, ctx, c, other)
	add := func(n webnavigator.Node) error {
		n.TraversalID, n.URL = walk, page+"/new"
		_, _, err := c.AddNode(ctx, n)
		return err
	}
	err := add(webnavigator.Node{Depth: 4, ParentID: root})
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "depth must be at most max_depth, which is 3")
	err = add(webnavigator.Node{Depth: 1, ParentID: stranger})
	require.ErrorIs(t, err, modules.ErrReference)
	require.ErrorIs(t, err, webnavigator.ErrUnknownParent)
	require.NoError(t, add(webnavigator.Node{Depth: 3, ParentID: root}))
}

// What was sent a second time was dropped but for a part.
func TestContentThatIsStoredAgainIsAsItWasStoredLast(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeContent(t, ctx, c, page, "text")
	again := content(page, "text", func(c *webnavigator.Content) {
		c.HTML, c.Quality, c.QualityDetail = ptr("<p>"), webnavigator.QualityHigh, webnavigator.QualityDetail{"words": 1.0}
		c.ExtractionType = webnavigator.FullPage
	})
	_, inserted, err := c.StoreContent(ctx, again)
	require.NoError(t, err)
	require.False(t, inserted)
	var html, quality, detail, extraction string
	scan(t, ctx, db, "select html, quality, quality_detail::text, extraction_type from web.contents", &html, &quality, &detail, &extraction)
	require.Equal(t, []string{"<p>", "high", `{"words": 1}`, "full_page"}, []string{html, quality, detail, extraction})
}
