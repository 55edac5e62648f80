package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/agentregistry"
)

// registry times agentregistry. The tables have an agent and an event for each row, and three
// or four capabilities for each agent.
type registry struct {
	c *agentregistry.Client
}

func (r *registry) module() fx.Option {
	return fx.Options(agentregistry.Module, fx.Populate(&r.c))
}

func (r *registry) client() any { return r.c }

func (r *registry) loads(*world, int, time.Duration) []load { return nil }

// Agent a2 has a tenth of all events. Half of the agents were active in the last hour, a tenth
// of the agents last some months ago.
func (r *registry) rows() []string {
	return []string{
		`insert into registry.agents (tenant_id, id, name, model_family, registered_at, last_active_at)
		select growth.tenant(g), 'a' || g, 'name ' || g, 'claude-3.5', now() - interval '200 days',
		       case when g / 2 % 10 = 7 then now() - interval '100 days' - g * interval '1 second' else now() - (g % 7200) * interval '1 second' end
		from generate_series(1, $1) g`,
		`insert into registry.agent_capabilities (tenant_id, agent_id, kind, value)
		select growth.tenant(g), 'a' || g, c.kind, c.value
		from generate_series(1, $1) g, lateral (values
			('task_type', (array['code-editing', 'research', 'code-review', 'documentation', 'testing', 'debugging', 'refactoring', 'api-design'])[1 + g / 2 % 8]),
			('language', (array['TypeScript', 'Python', 'Rust', 'Go'])[1 + g / 2 % 4]),
			('specialization', (array['AST analysis', 'API design', 'Security audit', 'DevOps'])[1 + g / 8 % 4]),
			('language', case when g / 2 % 1000 = 40 then 'COBOL' end)) c(kind, value)
		where c.value is not null`,
		`insert into registry.agent_performance (tenant_id, agent_id, success_rate, average_quality, average_latency_ms, task_count)
		select growth.tenant(g), 'a' || g, 0.5 + g::bigint * 7919 % 5000 / 10000.0, 0.5, 100, 10 from generate_series(1, $1) g`,
		`insert into registry.agent_load (tenant_id, agent_id, active_tasks, utilization_percent)
		select growth.tenant(g), 'a' || g, g / 2 % 11, g / 2 % 11 * 10 from generate_series(1, $1) g`,
		`insert into registry.performance_events (tenant_id, agent_id, success, quality_score, latency_ms, task_type, recorded_at)
		select growth.tenant(g), case when g % 10 = 0 then 'a2' else 'a' || g end, g % 3 > 0, 0.5, g % 1000,
		       (array['research', 'testing', 'debugging'])[1 + g % 3], now() - g * interval '1 second'
		from generate_series(1, $1) g`,
		"select registry.recount()",
	}
}

func (r *registry) calls(n int) []call {
	c := r.c
	agent := func(i int) string { return fmt.Sprint("a", 2+2*(i*37%(n/2))) }
	fresh := func(i int) string { return fmt.Sprint("new", i) }
	find := func(q agentregistry.Query) func(context.Context, int) (any, error) {
		return func(ctx context.Context, _ int) (any, error) { return the(c.FindByCapability(ctx, q)) }
	}
	score := func(q agentregistry.Query) func(context.Context, int) (any, error) {
		return func(ctx context.Context, _ int) (any, error) { return the(c.FindScored(ctx, q)) }
	}
	common := agentregistry.Query{TaskType: "research", Limit: 10}
	deep, found := "", ""
	return []call{
		{name: "Register", run: func(ctx context.Context, i int) (any, error) {
			return none(c.Register(ctx, agentregistry.Agent{
				ID: fresh(i), Name: "name of " + fresh(i), ModelFamily: "x",
				Capabilities: agentregistry.Capabilities{TaskTypes: []string{"research"}, Languages: []string{"Go"}},
			}))
		}},
		{name: "Unregister", run: func(ctx context.Context, i int) (any, error) { return the(c.Unregister(ctx, fresh(i))) }},
		{name: "Update", run: func(ctx context.Context, i int) (any, error) {
			return none(c.Update(ctx, agent(i), agentregistry.Patch{MaxConcurrentTasks: ptr(10 + i%2)}))
		}},
		{name: "Update: capabilities", run: func(ctx context.Context, i int) (any, error) {
			return none(c.Update(ctx, "a6", agentregistry.Patch{Capabilities: &agentregistry.Capabilities{Languages: []string{"Go", fmt.Sprint("l", i)}}}))
		}},
		{name: "Get", run: func(ctx context.Context, i int) (any, error) { return the(c.Get(ctx, agent(i))) }},
		{name: "RecordPerformance", run: func(ctx context.Context, i int) (any, error) {
			return the(c.RecordPerformance(ctx, agent(i), agentregistry.Metrics{Success: true, QualityScore: 0.9, LatencyMS: 10, TaskType: ptr("research")}))
		}},
		{name: "AdjustLoad", run: func(ctx context.Context, i int) (any, error) { return the(c.AdjustLoad(ctx, agent(i), 1, 0)) }},
		{name: "List: 50", run: func(ctx context.Context, _ int) (any, error) {
			page, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 50})
			return page, err
		}},
		{name: "List: 50, in depth", before: func(ctx context.Context, i int) (err error) {
			if i > 0 {
				return nil
			}
			for range max(1, min(20, n/4000)) { // 20,000 agents deep at most
				if _, deep, err = c.List(ctx, agentregistry.ListOptions{Limit: min(1000, n/4), After: deep}); err != nil {
					return err
				}
			}
			return nil
		}, run: func(ctx context.Context, _ int) (any, error) {
			page, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 50, After: deep})
			return page, err
		}},
		{name: "List: 500", run: func(ctx context.Context, _ int) (any, error) { // at 1,000 rows, all agents of the tenant
			page, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 500})
			return page, err
		}},
		{name: "List: 1000", run: func(ctx context.Context, _ int) (any, error) {
			page, _, err := c.List(ctx, agentregistry.ListOptions{})
			return page, err
		}},
		{name: "FindByCapability: a type, limit 10", run: find(common)},
		{name: "FindByCapability: a type and a language, limit 10", run: find(agentregistry.Query{TaskType: "research", Languages: []string{"Python"}, Limit: 10})},
		{name: "FindByCapability: a rare language, limit 10", run: find(agentregistry.Query{Languages: []string{"COBOL"}, Limit: 10})},
		{name: "FindByCapability: all filters, limit 10", run: find(agentregistry.Query{
			TaskType: "research", Languages: []string{"Python"}, Specializations: []string{"Security audit", "DevOps"},
			MaxUtilization: ptr(50.0), MinSuccessRate: ptr(0.6), Limit: 10,
		})},
		{name: "FindByCapability: no filter, no limit", run: find(agentregistry.Query{})},
		{name: "FindScored: a type", run: score(agentregistry.Query{TaskType: "research", Languages: []string{"Python", "Go"}, Specializations: []string{"DevOps"}})},
		{name: "FindScored: a rare language", run: score(agentregistry.Query{Languages: []string{"COBOL"}})},
		{name: "FindScored: no filter", run: score(agentregistry.Query{})},
		{name: "FindPage: a type, limit 10", run: func(ctx context.Context, _ int) (any, error) { return the(c.FindPage(ctx, common, "")) }},
		{name: "FindPage: a type, limit 10, page after page", run: func(ctx context.Context, _ int) (any, error) {
			page, err := c.FindPage(ctx, common, found)
			found = page.Next
			return page, err
		}},
		{name: "FindScoredPage: a type, limit 10", run: func(ctx context.Context, _ int) (any, error) { return the(c.FindScoredPage(ctx, common, "")) }},
		{name: "PerformancePage: 100", run: func(ctx context.Context, _ int) (any, error) { return the(c.PerformancePage(ctx, "a2", 0, "")) }},
		{name: "Available", run: func(ctx context.Context, _ int) (any, error) { return the(c.Available(ctx, 80, time.Hour)) }},
		{name: "AgentStats", run: func(ctx context.Context, _ int) (any, error) { return the(c.AgentStats(ctx, "a2")) }},
		{name: "Stats", run: func(ctx context.Context, _ int) (any, error) { return the(c.Stats(ctx)) }},
		{name: "DeleteStale: nothing", run: func(ctx context.Context, _ int) (any, error) { return the(c.DeleteStale(ctx, 365*24*time.Hour)) }},
		{name: "DeleteStale: a tenth of the agents", times: 1, run: func(ctx context.Context, _ int) (any, error) {
			return the(c.DeleteStale(ctx, 90*24*time.Hour))
		}},
		{name: "Health", run: func(ctx context.Context, _ int) (any, error) { return none(c.Health(ctx).Err) }},
		{name: "CheckSchema", run: func(ctx context.Context, _ int) (any, error) { return none(c.CheckSchema(ctx)) }},
	}
}
