package agentregistry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestEveryMethodIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, w := clienttest.Wired(t, "agentregistry", agentregistry.Migrations())
	c, err := agentregistry.New(agentregistry.Params{DB: db})
	require.NoError(t, err)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	_, err = c.RecordPerformance(ctx, "ada", agentregistry.Metrics{})
	require.NoError(t, err)
	capable := func(id string, n int) agentregistry.Agent {
		a := agent(id)
		for i := range n {
			a.Capabilities.Languages = append(a.Capabilities.Languages, fmt.Sprint("language ", i))
		}
		return a
	}
	clienttest.Flights(t, w, c, map[string]func(i int) error{
		"Register":                    func(i int) error { return c.Register(ctx, agent(fmt.Sprint("r", i))) },
		"Register: with capabilities": func(i int) error { return c.Register(ctx, capable(fmt.Sprint("c", i), 100)) },
		"Get":                         func(int) error { _, err := c.Get(ctx, "ada"); return err },
		"List":                        func(int) error { _, _, err := c.List(ctx, agentregistry.ListOptions{Limit: 2}); return err },
		"FindByCapability":            func(int) error { _, err := c.FindByCapability(ctx, agentregistry.Query{}); return err },
		"FindScored":                  func(int) error { _, err := c.FindScored(ctx, agentregistry.Query{}); return err },
		"FindPage":                    func(int) error { _, err := c.FindPage(ctx, agentregistry.Query{}, ""); return err },
		"FindScoredPage":              func(int) error { _, err := c.FindScoredPage(ctx, agentregistry.Query{}, ""); return err },
		"PerformancePage":             func(int) error { _, err := c.PerformancePage(ctx, "ada", 0, ""); return err },
		"Available":                   func(int) error { _, err := c.Available(ctx, 80, time.Hour); return err },
		"RecordPerformance":           func(int) error { _, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{}); return err },
		"AdjustLoad":                  func(int) error { _, err := c.AdjustLoad(ctx, "ada", 1, 1); return err },
		"Update":                      func(int) error { return c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("Ada")}) },
		"Update: with its capabilities": func(int) error {
			a := capable("", 100)
			return c.Update(ctx, "ada", agentregistry.Patch{Capabilities: &a.Capabilities})
		},
		"Stats":       func(int) error { _, err := c.Stats(ctx); return err },
		"AgentStats":  func(int) error { _, err := c.AgentStats(ctx, "ada"); return err },
		"DeleteStale": func(int) error { _, err := c.DeleteStale(ctx, time.Hour); return err },
		"Unregister":  func(i int) error { _, err := c.Unregister(ctx, fmt.Sprint("r", i)); return err },
		"CheckSchema": func(int) error { return c.CheckSchema(ctx) },
		"Health":      func(int) error { return c.Health(ctx).Err },
	}, map[string]int64{"CheckSchema": 2})
}
