package agentregistry_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestRegisterAndReadBack(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	in := agent("ada", func(a *agentregistry.Agent) {
		a.Capabilities = agentregistry.Capabilities{
			TaskTypes: []string{"research", "research", "testing"}, Languages: []string{"Go"}, Specializations: []string{"Security audit"},
		}
		a.MaxConcurrentTasks = 4
		a.Load = agentregistry.Load{ActiveTasks: 1, QueuedTasks: 2, UtilizationPercent: 99}
	})
	register(t, ctx, c, in)
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	want := in
	want.Capabilities.TaskTypes = []string{"research", "testing"} // duplicates collapse
	want.Load.UtilizationPercent = 25                             // computed, not taken
	want.Performance = agentregistry.Performance{SuccessRate: 0.8, AverageQuality: 0.7, AverageLatencyMS: 5000}
	require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(agentregistry.Agent{}, "RegisteredAt", "LastActiveAt")))
	require.WithinDuration(t, time.Now(), got.RegisteredAt, time.Minute)
	require.Equal(t, got.RegisteredAt, got.LastActiveAt)

	register(t, ctx, c, agent("bare", func(a *agentregistry.Agent) { a.MaxConcurrentTasks = 0 }))
	got, err = c.Get(ctx, "bare")
	require.NoError(t, err)
	require.Equal(t, 10, got.MaxConcurrentTasks)
	body, err := json.Marshal(got)
	require.NoError(t, err)
	require.Contains(t, string(body), `"capabilities":{"task_types":[],"languages":[],"specializations":[]}`)
}

func TestRegisterNeverUpserts(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	for constraint, a := range map[string]agentregistry.Agent{
		"agents_pkey":     agent("ada", func(a *agentregistry.Agent) { a.Name = "another" }),
		"agents_name_key": agent("bob", func(a *agentregistry.Agent) { a.Name = "name of ada" }),
	} {
		err := c.Register(ctx, a)
		require.ErrorIs(t, err, agentregistry.ErrAgentExists)
		require.ErrorIs(t, err, modules.ErrConflict)
		require.ErrorContains(t, err, constraint)
		require.NotContains(t, err.Error(), a.Name)
	}
	register(t, as(t, "globex"), c, agent("ada")) // keys are the tenant's
	list, _, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"ada"}, ids(list))
}

func TestRegisterRefusesBadInputBeforeSending(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	before := db.Stats().AcquireCount
	long := strings.Repeat("x", 256)
	for field, change := range map[string]func(*agentregistry.Agent){
		"id":                             func(a *agentregistry.Agent) { a.ID = " " },
		"id must be at most":             func(a *agentregistry.Agent) { a.ID = long },
		"id must be text":                func(a *agentregistry.Agent) { a.ID = "a\x00b" },
		"name":                           func(a *agentregistry.Agent) { a.Name = "" },
		"model_family":                   func(a *agentregistry.Agent) { a.ModelFamily = long[:51] },
		"capabilities.languages":         func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go", ""} },
		"capabilities.task_types":        func(a *agentregistry.Agent) { a.Capabilities.TaskTypes = []string{long[:101]} },
		"max_concurrent_tasks":           func(a *agentregistry.Agent) { a.MaxConcurrentTasks = -1 },
		"load.active_tasks":              func(a *agentregistry.Agent) { a.Load.ActiveTasks = -1 },
		"performance.success_rate":       func(a *agentregistry.Agent) { a.Performance.SuccessRate = 1.1 },
		"performance.average_latency_ms": func(a *agentregistry.Agent) { a.Performance.AverageLatencyMS = -1 },
	} {
		err := c.Register(as(t, "acme"), agent("ada", change))
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
	require.Equal(t, before, db.Stats().AcquireCount)
}
