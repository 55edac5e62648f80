package webnavigator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

func TestLimitedDomainsComeInPages(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	exec(t, tenant.System(t.Context(), "test"), db, `insert into web.rate_limits (domain, status, window_end, backoff_until)
		select 'd' || lpad(g::text, 4, '0'), case when g % 2 = 0 then 'throttled' else 'ok' end, now(), case when g % 10 = 0 then now() end
		from generate_series(1, 3000) g`)
	var names []string
	for after, pages := "", 0; ; pages++ {
		require.Less(t, pages, 10)
		page, err := c.LimitedDomainsPage(t.Context(), 500, after)
		require.NoError(t, err)
		for _, d := range page.Items {
			names = append(names, d.Domain)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	require.Len(t, names, 1200, "every second domain, without the ended backoffs")
	require.IsIncreasing(t, names)
	first, err := c.LimitedDomains(t.Context())
	require.NoError(t, err)
	require.Len(t, first, webnavigator.MaxDomains)
	rest, err := c.LimitedDomains(t.Context(), first[len(first)-1].Domain)
	require.NoError(t, err)
	require.Len(t, rest, 200)
	require.Equal(t, names[1000], rest[0].Domain)
	for must, call := range map[string]func() (modules.Page[webnavigator.LimitedDomain], error){
		"limit must be from 1 to 1000": func() (modules.Page[webnavigator.LimitedDomain], error) {
			return c.LimitedDomainsPage(t.Context(), 0, "")
		},
		"limit must be": func() (modules.Page[webnavigator.LimitedDomain], error) {
			return c.LimitedDomainsPage(t.Context(), 1001, "")
		},
		"after must be text": func() (modules.Page[webnavigator.LimitedDomain], error) {
			return c.LimitedDomainsPage(t.Context(), 1, "\x00")
		},
	} {
		_, err := call()
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, must)
	}
}

func TestTraversalStatsFollowEveryChangeOfANode(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	walk := startTraversal(t, ctx, c, "s")
	text := storeContent(t, ctx, c, page, "12345")
	together(t, 16, func(i int) error {
		for k := range 10 {
			id, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: fmt.Sprint(page, i, "/", k), Depth: k % 4})
			for _, status := range []webnavigator.NodeStatus{"error", "pending", "error", "pending", "visited", "visited"}[:k%7] {
				if err == nil {
					err = c.SetNodeStatus(ctx, id, status, text, "")
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	same := func() (s webnavigator.TraversalStats) {
		t.Helper()
		s, err := c.TraversalStats(ctx, "s")
		require.NoError(t, err)
		want := s
		scan(t, ctx, db, `select count(*) filter (where status = 'visited'), count(*) filter (where status = 'skipped'),
			count(*) filter (where status = 'error'), count(*) filter (where status = 'pending'),
			coalesce(max(depth) filter (where status <> 'pending'), 0) from web.traversal_nodes`,
			&want.PagesVisited, &want.PagesSkipped, &want.ErrorsEncountered, &want.PagesPending, &want.MaxDepthReached)
		require.Equal(t, want, s)
		return s
	}
	require.EqualValues(t, 5*16*8, same().TotalContentBytes, "eight of ten pages have content")
	exec(t, ctx, db, "delete from web.traversal_nodes where depth > 1")
	require.Equal(t, 1, same().MaxDepthReached)
	exec(t, ctx, db, "update web.traversal_nodes set status = 'pending'")
	require.Zero(t, same().MaxDepthReached)
	exec(t, ctx, db, "delete from web.traversals")
	var left int
	scan(t, ctx, db, "select count(*) from web.node_counts", &left)
	require.Zero(t, left)
}

// Two nodes with new content once met at the row of their traversal.
func TestAnOpenTransactionStopsNoOtherNodeOfTheTraversal(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx, cancel := context.WithTimeout(as(t, "acme"), time.Minute)
	defer cancel()
	walk := startTraversal(t, ctx, c, "s")
	text := storeContent(t, ctx, c, page, "12345")
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for i, ctx := range []context.Context{modules.Join(ctx, tx), ctx} {
			id, _, err := c.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: fmt.Sprint(page, i)})
			require.NoError(t, err)
			require.NoError(t, c.SetNodeStatus(ctx, id, webnavigator.NodeVisited, text, ""))
		}
		return nil
	}))
	s, err := c.TraversalStats(ctx, "s")
	require.NoError(t, err)
	require.EqualValues(t, 10, s.TotalContentBytes)
	require.EqualValues(t, 2, s.PagesVisited)
}

func TestRecountCountsWhatCameWithoutTriggers(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	fill(t, ctx, c)
	before, err := c.CacheStats(ctx)
	require.NoError(t, err)
	for _, sql := range []string{"delete from web.node_counts", "delete from web.cache_minutes", "update web.cache_counters set entries = 7"} {
		exec(t, ctx, db, sql)
	}
	clienttest.Recount(t, db, "web", "acme")
	after, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)
	s, err := c.TraversalStats(ctx, "s")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.PagesPending)
}

// Expired content that stays in use does not keep Purge from the content behind.
func TestPurgeGoesPastContentInUse(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `with c as (insert into web.contents (url, title, content, content_hash, cached_until, content_size_bytes)
		select 'u' || g, '', '', repeat('0', 64), now() - (20000 - g) * interval '1 second', 0 from generate_series(1, 12000) g returning id, url)
		insert into web.cache (url, content_id, expires_at, cache_size_bytes) select url, id, now() + interval '1 hour', 0 from c where substr(url, 2)::int <= 6000`)
	gone, err := c.Purge(ctx)
	require.NoError(t, err)
	require.Equal(t, webnavigator.PurgeResult{ContentRows: 6000}, gone)
}
