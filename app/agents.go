package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"time"

	"github.com/agentagency/onepool/modules/agentregistry"
)

// newAgent holds the fields of an agent that a caller sets; the registry sets the rest.
type newAgent struct {
	ID                 string                     `json:"id"` // made when empty
	Name               string                     `json:"name"`
	ModelFamily        string                     `json:"model_family"`
	Capabilities       agentregistry.Capabilities `json:"capabilities"`
	MaxConcurrentTasks int                        `json:"max_concurrent_tasks"`
}

type loadChange struct {
	Active int `json:"active_delta"`
	Queued int `json:"queued_delta"`
}

type inactive struct {
	For time.Duration `json:"inactive_for_ns"`
}

// agentList is a page of agents. Next is the value of "after" for the next page, and is empty
// on the last page.
type agentList struct {
	Agents []agentregistry.Agent `json:"agents"`
	Next   string                `json:"next,omitempty"`
}

type scoredList struct {
	Agents []agentregistry.Scored `json:"agents"`
	Next   string                 `json:"next,omitempty"`
}

type agentSearch struct {
	agentregistry.Query
	After string `json:"after"`
}

type performanceList struct {
	Performance []agentregistry.StoredMetrics `json:"performance"`
	Next        string                        `json:"next,omitempty"`
}

// agentFilter finds the agents that meet every condition. Without a condition agentFilter pages
// through all agents.
type agentFilter struct {
	TaskType        string   `query:"task_type"`
	Languages       []string `query:"language"`
	Specializations []string `query:"specialization"`
	MaxUtilization  *float64 `query:"max_utilization"`
	MinSuccessRate  *float64 `query:"min_success_rate"`
	Limit           int      `query:"limit"`
	After           string   `query:"after"`
}

func (f agentFilter) set() bool {
	return f.TaskType != "" || f.Languages != nil || f.Specializations != nil || f.MaxUtilization != nil || f.MinSuccessRate != nil
}

func agentRoutes(c *agentregistry.Client) routes {
	return routes{
		"POST /agents": makes(http.StatusCreated, func(a agentregistry.Agent) string { return "/agents/" + url.PathEscape(a.ID) },
			func(ctx context.Context, in posted[newAgent]) (agentregistry.Agent, error) {
				a := in.Body
				if a.ID == "stats" {
					return agentregistry.Agent{}, badRequest("id must not be stats: /agents/stats is the statistics of all agents")
				}
				a.ID = cmp.Or(a.ID, rand.Text())
				err := c.Register(ctx, agentregistry.Agent{
					ID: a.ID, Name: a.Name, ModelFamily: a.ModelFamily,
					Capabilities: a.Capabilities, MaxConcurrentTasks: a.MaxConcurrentTasks,
				})
				if err != nil {
					return agentregistry.Agent{}, err
				}
				return c.Get(ctx, a.ID)
			}),
		"GET /agents": gives(func(ctx context.Context, f agentFilter) (agentList, error) {
			limit := cmp.Or(f.Limit, pageSize)
			if !f.set() {
				page, next, err := c.List(ctx, agentregistry.ListOptions{Limit: limit, After: f.After})
				return agentList{list(page), next}, err
			}
			found, err := c.FindPage(ctx, agentregistry.Query{
				TaskType: f.TaskType, Languages: f.Languages, Specializations: f.Specializations,
				MaxUtilization: f.MaxUtilization, MinSuccessRate: f.MinSuccessRate, Limit: limit,
			}, f.After)
			return agentList{list(found.Items), found.Next}, err
		}),
		"POST /agents/search": gives(func(ctx context.Context, in posted[agentSearch]) (scoredList, error) {
			found, err := c.FindScoredPage(ctx, in.Body.Query, in.Body.After)
			return scoredList{list(found.Items), found.Next}, err
		}),
		"POST /agents/purge": gives(func(ctx context.Context, in posted[inactive]) (affected, error) {
			n, err := c.DeleteStale(ctx, in.Body.For)
			return affected{n}, err
		}),
		"GET /agents/stats": reads(c.Stats),

		"GET /agents/{id}": readsOf(c.Get),
		"PATCH /agents/{id}": does(func(ctx context.Context, in postedTo[agentregistry.Patch]) error {
			return c.Update(ctx, in.ID, in.Body)
		}),
		"DELETE /agents/{id}": does(func(ctx context.Context, in byID) error {
			found, err := c.Unregister(ctx, in.ID)
			if err == nil && !found {
				err = agentregistry.ErrAgentNotFound
			}
			return err
		}),
		"GET /agents/{id}/stats": readsOf(c.AgentStats),
		"POST /agents/{id}/performance": gives(func(ctx context.Context, in postedTo[agentregistry.Metrics]) (agentregistry.Performance, error) {
			return c.RecordPerformance(ctx, in.ID, in.Body)
		}),
		"GET /agents/{id}/performance": gives(func(ctx context.Context, in listedOf) (performanceList, error) {
			page, err := c.PerformancePage(ctx, in.ID, in.Limit, in.After)
			return performanceList{list(page.Items), page.Next}, err
		}),
		"POST /agents/{id}/load": gives(func(ctx context.Context, in postedTo[loadChange]) (agentregistry.Load, error) {
			return c.AdjustLoad(ctx, in.ID, in.Body.Active, in.Body.Queued)
		}),
	}
}
