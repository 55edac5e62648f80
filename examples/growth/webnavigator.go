package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

// pages times webnavigator. A traversal of the large tenant has half of the tenant's nodes; a
// hundredth of the rows are throttled domains. A tenth of the contents and of the cache has
// expired.
type pages struct {
	c    *webnavigator.Client
	walk string // a traversal without many nodes
	node string
}

func (p *pages) module() fx.Option { return fx.Options(webnavigator.Module, fx.Populate(&p.c)) }

func (p *pages) client() any { return p.c }

func (p *pages) loads(*world, int, time.Duration) []load { return nil }

func (p *pages) rows() []string {
	return []string{
		`insert into web.contents (tenant_id, id, url, title, content, content_hash, cached_until, content_size_bytes)
		select growth.tenant(g), growth.entry(g), 'https://example.org/' || g, 't', 'text', repeat('0', 64),
		       now() + case when g / 2 % 10 = 0 then interval '-1 hour' else interval '1 day' end + g * interval '1 ms', 4
		from generate_series(1, $1) g`,
		`insert into web.cache (tenant_id, url, content_id, cached_at, expires_at, cache_size_bytes)
		select growth.tenant(g), 'https://example.org/' || g, growth.entry(g), now() - (g % 172800) * interval '1 second',
		       now() + case when g / 2 % 10 = 0 then interval '-1 hour' else interval '1 day' end + g * interval '1 ms', 4
		from generate_series(1, $1) g`,
		`insert into web.traversals (tenant_id, id, session_id, start_url, strategy, status)
		select growth.tenant(g), growth.entry(g), 's' || g, 'u', 'breadth_first', 'running' from generate_series(1, greatest($1 / 100, 2)) g`,
		`insert into web.traversal_nodes (tenant_id, id, traversal_id, url, depth, status)
		select growth.tenant(g), growth.entry(g), growth.entry(case when g % 4 = 0 then 2 else 1 + g % ($1 / 100) end), 'u' || g, g % 4, case when g % 3 = 0 then 'pending' else 'visited' end
		from generate_series(1, $1) g`,
		`insert into web.extraction_metrics (tenant_id, content_id, total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, ssl_verified)
		select growth.tenant(g), growth.entry(g), 1, 1, 1, 1, 200, true from generate_series(1, $1) g`,
		`insert into web.rate_limits (domain, status, window_end) select 'd' || lpad(g::text, 8, '0') || '.example', 'throttled', now() from generate_series(1, greatest($1 / 100, 2)) g`,
		`insert into web.tenant_requests (tenant_id, domain, window_end) select growth.tenant(g), 'r' || g || '.example', now() from generate_series(1, $1) g`,
		"select web.recount()",
	}
}

func (p *pages) calls(n int) []call {
	c := p.c
	url := func(i int) string { return fmt.Sprint("https://example.org/", 2*(10*(i*37%(n/20))+1)) } // live, of the large tenant
	content := func(i int) string { return entryID(2 * (10*(i*37%(n/20)) + 1)) }
	operator := func() context.Context { return tenant.System(context.Background(), "growth") }
	return []call{
		{name: "StoreContent", run: func(ctx context.Context, i int) (any, error) {
			id, _, err := c.StoreContent(ctx, webnavigator.Content{URL: fmt.Sprint("https://new.example/", i), Text: "text"})
			return id, err
		}},
		{name: "GetByURL", run: func(ctx context.Context, i int) (any, error) {
			found, _, err := c.GetByURL(ctx, url(i))
			return found, err
		}},
		{name: "CachePut", run: func(ctx context.Context, i int) (any, error) {
			return none(c.CachePut(ctx, fmt.Sprint("https://new.example/", i), content(i), time.Hour))
		}},
		{name: "CacheStats", run: func(ctx context.Context, _ int) (any, error) { return the(c.CacheStats(ctx)) }},
		{name: "StoreMetrics", run: func(ctx context.Context, i int) (any, error) {
			return none(c.StoreMetrics(ctx, content(i), webnavigator.ExtractionMetrics{StatusCode: 200}))
		}},
		{name: "CountRequest", run: func(ctx context.Context, i int) (any, error) {
			return the(c.CountRequest(ctx, fmt.Sprintf("r%d.example", 2*(1+i*37%(n/2))), 0, 10))
		}},
		{name: "RateLimit", run: func(ctx context.Context, i int) (any, error) {
			l, _, err := c.RateLimit(ctx, fmt.Sprintf("r%d.example", 2*(1+i*37%(n/2))))
			return l, err
		}},
		{name: "SetRateLimit", run: func(_ context.Context, i int) (any, error) {
			return none(c.SetRateLimit(operator(), webnavigator.RateLimit{Domain: fmt.Sprintf("z%d.example", i), Status: webnavigator.RateOK}))
		}},
		{name: "LimitedDomains", run: func(ctx context.Context, _ int) (any, error) { return the(c.LimitedDomains(ctx)) }},
		{name: "LimitedDomainsPage: 50", run: func(ctx context.Context, _ int) (any, error) { return the(c.LimitedDomainsPage(ctx, 50, "")) }},
		{name: "LimitedDomainsPage: 50, in depth", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.LimitedDomainsPage(ctx, 50, fmt.Sprintf("d%08d.example", n/120)))
		}},
		{name: "StartTraversal", run: func(ctx context.Context, i int) (any, error) {
			var err error
			p.walk, err = c.StartTraversal(ctx, webnavigator.Traversal{
				SessionID: fmt.Sprint("new", i), StartURL: "u", MaxDepth: 3, MaxPages: 50, Strategy: webnavigator.BreadthFirst,
			})
			return p.walk, err
		}},
		{name: "SetTraversalStatus", run: func(ctx context.Context, _ int) (any, error) {
			return none(c.SetTraversalStatus(ctx, "new0", webnavigator.TraversalRunning, ""))
		}},
		{name: "NoteRateLimit", run: func(ctx context.Context, _ int) (any, error) { return none(c.NoteRateLimit(ctx, "s2")) }},
		{name: "AddNode", run: func(ctx context.Context, i int) (any, error) {
			var err error
			p.node, _, err = c.AddNode(ctx, webnavigator.Node{TraversalID: entryID(2), URL: fmt.Sprint("new", i), Depth: 1})
			return p.node, err
		}},
		{name: "SetNodeStatus", run: func(ctx context.Context, i int) (any, error) {
			return none(c.SetNodeStatus(ctx, entryID(4*(1+i*37%(n/4))), webnavigator.NodeVisited, content(i), ""))
		}},
		{name: "TraversalStats: half of the nodes", run: func(ctx context.Context, _ int) (any, error) { return the(c.TraversalStats(ctx, "s2")) }},
		{name: "Traversal", run: func(ctx context.Context, _ int) (any, error) { return the(c.Traversal(ctx, "s2")) }},
		{name: "TraversalsPage: 100", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.TraversalsPage(ctx, webnavigator.TraversalFilter{}))
		}},
		{name: "Node", run: func(ctx context.Context, i int) (any, error) { return the(c.Node(ctx, entryID(4*(1+i*37%(n/4))))) }},
		{name: "NodesPage: 100", run: func(ctx context.Context, _ int) (any, error) {
			return the(c.NodesPage(ctx, "s2", webnavigator.NodeFilter{}))
		}},
		{name: "Content", run: func(ctx context.Context, i int) (any, error) { return the(c.Content(ctx, content(i))) }},
		{name: "MetricsPage: 100", run: func(ctx context.Context, i int) (any, error) { return the(c.MetricsPage(ctx, content(i), 0, "")) }},
		{name: "Purge: a tenth", times: 1, run: func(ctx context.Context, _ int) (any, error) { return the(c.Purge(ctx)) }},
		{name: "Purge: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.Purge(ctx)) }},
		{name: "Available", run: func(ctx context.Context, _ int) (any, error) { return c.Available(ctx), nil }},
		{name: "CheckSchema", run: func(ctx context.Context, _ int) (any, error) { return none(c.CheckSchema(ctx)) }},
	}
}
