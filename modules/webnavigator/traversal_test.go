package webnavigator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestStartTraversal(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for i, yes := range []bool{true, false} {
		tr := traversal(fmt.Sprint("s", i))
		tr.SameDomainOnly, tr.RespectRobots = yes, !yes
		id, err := c.StartTraversal(ctx, tr)
		require.NoError(t, err)
		var all string
		scan(t, ctx, db, `select concat_ws(' ', session_id, start_url, max_depth, max_pages, strategy, same_domain_only, respect_robots_txt, status)
			from web.traversals where id = '`+id+"'", &all)
		require.Equal(t, fmt.Sprintf("s%d %s 3 50 breadth_first %.1s %.1s running", i, page, fmt.Sprint(yes), fmt.Sprint(!yes)), all)
	}
	_, err := c.StartTraversal(ctx, traversal("s0"))
	require.ErrorIs(t, err, modules.ErrConflict)
	require.ErrorContains(t, err, "traversals_session_key")
	startTraversal(t, as(t, "globex"), c, "s0")
	for must, change := range map[string]func(*webnavigator.Traversal){
		"session_id must be at most 64 bytes": func(t *webnavigator.Traversal) { t.SessionID = strings.Repeat("s", 65) },
		"start_url must not be blank":         func(t *webnavigator.Traversal) { t.StartURL = "" },
		"max_depth must be from 1 to 10":      func(t *webnavigator.Traversal) { t.MaxDepth = 11 },
		"max_pages must be from 1":            func(t *webnavigator.Traversal) { t.MaxPages = 0 },
		"strategy must be one of":             func(t *webnavigator.Traversal) { t.Strategy = "x" },
	} {
		tr := traversal("new")
		change(&tr)
		_, err := c.StartTraversal(ctx, tr)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestSetTraversalStatusChangesOnlyWhatTheStatusSpeaksOf(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	startTraversal(t, ctx, c, "s")
	for _, step := range []struct {
		status    webnavigator.TraversalStatus
		why, kept string
		completed bool
	}{
		{webnavigator.TraversalRunning, "", "", false},
		{webnavigator.TraversalPending, "", "", false},
		{webnavigator.TraversalFailed, "no network", "no network", true},
		{webnavigator.TraversalFailed, "", "no network", true},
		{webnavigator.TraversalRunning, "", "", false},
		{webnavigator.TraversalCompleted, "", "", true},
	} {
		require.NoError(t, c.SetTraversalStatus(ctx, "s", step.status, step.why))
		var status, why string
		var completed bool
		scan(t, ctx, db, "select status, coalesce(error_message, ''), completed_at is not null from web.traversals", &status, &why, &completed)
		require.Equal(t, []any{string(step.status), step.kept, step.completed}, []any{status, why, completed})
	}
	require.ErrorIs(t, c.SetTraversalStatus(ctx, "x", webnavigator.TraversalFailed, ""), webnavigator.ErrTraversalNotFound)
	require.ErrorIs(t, c.SetTraversalStatus(as(t, "globex"), "s", webnavigator.TraversalFailed, ""), modules.ErrNotFound)
	require.ErrorIs(t, c.NoteRateLimit(ctx, "x"), webnavigator.ErrTraversalNotFound)
	for must, err := range map[string]error{
		"status must be one of":      c.SetTraversalStatus(ctx, "s", "x", ""),
		"session_id must not":        c.SetTraversalStatus(ctx, "", webnavigator.TraversalFailed, ""),
		"error_text must be empty":   c.SetTraversalStatus(ctx, "s", webnavigator.TraversalRunning, "why"),
		"error_text must be text":    c.SetTraversalStatus(ctx, "s", webnavigator.TraversalFailed, "\xff"),
		"session_id must not be bla": c.NoteRateLimit(ctx, ""),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestAddNodeHasEachURLOnce(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	walk, other := startTraversal(t, ctx, c, "s"), startTraversal(t, ctx, c, "other")
	root := addNode(t, ctx, c, walk)
	child, existed, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: page + "/2", Depth: 2, ParentID: root, LinkText: "two", LinkType: webnavigator.Internal})
	require.NoError(t, err)
	require.False(t, existed)
	var all string
	scan(t, ctx, db, "select concat_ws(' ', depth, status, parent_id, link_text, link_type, visited_at) from web.traversal_nodes where id = '"+child+"'", &all)
	require.Equal(t, "2 pending "+root+" two internal", all)
	again, existed, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: page, Depth: 7})
	require.NoError(t, err)
	require.True(t, existed)
	require.Equal(t, root, again)
	require.NotEqual(t, root, addNode(t, ctx, c, other), "another traversal has its own")

	added := make(chan bool, 20)
	together(t, 20, func(int) error {
		id, existed, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: "at once"})
		if err == nil && id == "" {
			err = modules.ErrNotFound
		}
		added <- !existed
		return err
	})
	first := 0
	for range 20 {
		if <-added {
			first++
		}
	}
	require.Equal(t, 1, first)

	theirs := startTraversal(t, as(t, "globex"), c, "s")
	for name, n := range map[string]webnavigator.Node{
		"no traversal":         {TraversalID: nowhere, URL: page},
		"another tenant's":     {TraversalID: theirs, URL: page},
		"no parent":            {TraversalID: walk, URL: page + "/3", ParentID: nowhere},
		"another's traversal ": {TraversalID: theirs, URL: page + "/3", ParentID: root},
	} {
		_, _, err := c.AddNode(ctx, n)
		require.ErrorIs(t, err, modules.ErrReference, name)
	}
	for must, n := range map[string]webnavigator.Node{
		"traversal_id must be a UUID": {URL: page},
		"url must not be blank":       {TraversalID: walk},
		"depth must be from 0":        {TraversalID: walk, URL: page, Depth: -1},
		"link_text must be text":      {TraversalID: walk, URL: page, LinkText: "\x00"},
		"parent_id must be a UUID":    {TraversalID: walk, URL: page, ParentID: "x"},
		"link_type must be one of":    {TraversalID: walk, URL: page, LinkType: "x"},
	} {
		_, _, err := c.AddNode(ctx, n)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestSetNodeStatusChangesOnlyWhatTheStatusSpeaksOf(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	node := addNode(t, ctx, c, startTraversal(t, ctx, c, "s"))
	first, second := storeContent(t, ctx, c, page, "12345"), storeContent(t, ctx, c, page, "1234567")
	for _, step := range []struct {
		status             webnavigator.NodeStatus
		content, why, kept string
		holds              string
		visited            bool
		bytes              int64
	}{
		{webnavigator.NodePending, "", "", "", "", false, 0},
		{webnavigator.NodeError, "", "timeout", "timeout", "", true, 0},
		{webnavigator.NodeError, "", "", "timeout", "", true, 0},
		{webnavigator.NodePending, "", "", "", "", false, 0},
		{webnavigator.NodeVisited, first, "", "", first, true, 5},
		{webnavigator.NodeVisited, first, "", "", first, true, 5},
		{webnavigator.NodeVisited, "", "", "", first, true, 5},
		{webnavigator.NodeVisited, second, "", "", second, true, 12},
	} {
		require.NoError(t, c.SetNodeStatus(ctx, node, step.status, step.content, step.why))
		var status, why, content string
		var visited bool
		scan(t, ctx, db, "select status, coalesce(error_message, ''), coalesce(content_id::text, ''), visited_at is not null from web.traversal_nodes", &status, &why, &content, &visited)
		require.Equal(t, []any{string(step.status), step.kept, step.holds, step.visited}, []any{status, why, content, visited})
		s, err := c.TraversalStats(ctx, "s")
		require.NoError(t, err)
		require.Equal(t, step.bytes, s.TotalContentBytes)
	}
	// Content that goes leaves the node and its tenant.
	exec(t, ctx, db, "delete from web.contents")
	var left bool
	scan(t, ctx, db, "select content_id is null from web.traversal_nodes", &left)
	require.True(t, left)

	theirs := storeContent(t, as(t, "globex"), c, page, "theirs")
	require.ErrorIs(t, c.SetNodeStatus(ctx, nowhere, webnavigator.NodeVisited, "", ""), webnavigator.ErrNodeNotFound)
	require.ErrorIs(t, c.SetNodeStatus(as(t, "globex"), node, webnavigator.NodeVisited, theirs, ""), modules.ErrNotFound)
	require.ErrorIs(t, c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, theirs, ""), modules.ErrReference)
	require.ErrorIs(t, c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, nowhere, ""), modules.ErrReference)
	for must, err := range map[string]error{
		"id must be a UUID":         c.SetNodeStatus(ctx, "x", webnavigator.NodeVisited, "", ""),
		"content_id must be a UUID": c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, "x", ""),
		"status must be one of":     c.SetNodeStatus(ctx, node, "x", "", ""),
		"error_text must be empty":  c.SetNodeStatus(ctx, node, webnavigator.NodeVisited, "", "why"),
		"error_text must be text":   c.SetNodeStatus(ctx, node, webnavigator.NodeError, "", "\x00"),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestTraversalStatsAreCountedFromTheNodes(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	walk := startTraversal(t, ctx, c, "s")
	s, err := c.TraversalStats(ctx, "s")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), s.StartedAt, time.Minute)
	s.StartedAt = time.Time{}
	require.Equal(t, webnavigator.TraversalStats{TraversalID: walk, Status: webnavigator.TraversalRunning}, s)
	text := storeContent(t, ctx, c, page, "12345")
	for i, status := range []webnavigator.NodeStatus{"visited", "visited", "skipped", "error", "pending"} {
		id, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: fmt.Sprint(page, i), Depth: min(i, 3)})
		require.NoError(t, err)
		require.NoError(t, c.SetNodeStatus(ctx, id, status, "", ""))
	}
	together(t, 8, func(i int) error {
		id, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: fmt.Sprint("more", i)})
		if err != nil {
			return err
		}
		if err := c.SetNodeStatus(ctx, id, webnavigator.NodeVisited, text, ""); err != nil {
			return err
		}
		return c.NoteRateLimit(ctx, "s")
	})
	require.NoError(t, c.SetTraversalStatus(ctx, "s", webnavigator.TraversalCompleted, ""))
	s, err = c.TraversalStats(ctx, "s")
	require.NoError(t, err)
	require.NotNil(t, s.CompletedAt)
	s.StartedAt, s.CompletedAt = time.Time{}, nil
	require.Equal(t, webnavigator.TraversalStats{
		TraversalID: walk, Status: webnavigator.TraversalCompleted, PagesVisited: 10, PagesSkipped: 1, PagesPending: 1, ErrorsEncountered: 1,
		MaxDepthReached: 3, TotalContentBytes: 40, RateLimitEncounters: 8,
	}, s)
	_, err = c.TraversalStats(as(t, "globex"), "s")
	require.ErrorIs(t, err, webnavigator.ErrTraversalNotFound)
	_, err = c.TraversalStats(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
	// A traversal takes its nodes along.
	exec(t, ctx, db, "delete from web.traversals")
	var nodes int
	scan(t, ctx, db, "select count(*) from web.traversal_nodes", &nodes)
	require.Zero(t, nodes)
}
