package agentregistry_test

import (
	"encoding/json"
	"math"
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

func TestNoCapabilitiesAreEmptyArraysInJSON(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(agentregistry.Agent{Capabilities: agentregistry.Capabilities{Languages: []string{"Go"}}})
	require.NoError(t, err)
	require.Contains(t, string(body), `"capabilities":{"task_types":[],"languages":["Go"],"specializations":[]}`)
	var back agentregistry.Agent
	require.NoError(t, json.Unmarshal(body, &back))
	require.Equal(t, []string{"Go"}, back.Capabilities.Languages)
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
	for must, change := range map[string]func(*agentregistry.Agent){
		"id must not be blank":                     func(a *agentregistry.Agent) { a.ID = " " },
		"id must be at most 255 bytes":             func(a *agentregistry.Agent) { a.ID = long },
		"id must be text":                          func(a *agentregistry.Agent) { a.ID = "a\x00b" },
		"name must not be blank":                   func(a *agentregistry.Agent) { a.Name = "" },
		"name must be text":                        func(a *agentregistry.Agent) { a.Name = "\xff" },
		"model_family must be at most 50":          func(a *agentregistry.Agent) { a.ModelFamily = long[:51] },
		"capabilities.languages must not":          func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go", ""} },
		"capabilities.task_types must be at":       func(a *agentregistry.Agent) { a.Capabilities.TaskTypes = []string{long[:101]} },
		"capabilities.specializations must be":     func(a *agentregistry.Agent) { a.Capabilities.Specializations = []string{"\x00"} },
		"max_concurrent_tasks must be from 0":      func(a *agentregistry.Agent) { a.MaxConcurrentTasks = -1 },
		"max_concurrent_tasks must be from 0 to":   func(a *agentregistry.Agent) { a.MaxConcurrentTasks = 1 << 40 },
		"load.active_tasks must be":                func(a *agentregistry.Agent) { a.Load.ActiveTasks = -1 },
		"load.queued_tasks must be":                func(a *agentregistry.Agent) { a.Load.QueuedTasks = 1 << 31 },
		"performance.success_rate must be from 0":  func(a *agentregistry.Agent) { a.Performance.SuccessRate = 1.1 },
		"performance.average_quality must be":      func(a *agentregistry.Agent) { a.Performance.AverageQuality = math.NaN() },
		"performance.average_latency_ms must be":   func(a *agentregistry.Agent) { a.Performance.AverageLatencyMS = math.Inf(1) },
		"performance.task_count must be from 0 to": func(a *agentregistry.Agent) { a.Performance.TaskCount = -1 },
	} {
		err := c.Register(as(t, "acme"), agent("ada", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
		require.NotContains(t, err.Error(), "xxx", "a value is repeated")
	}
	require.Equal(t, before, db.Stats().AcquireCount)
}
