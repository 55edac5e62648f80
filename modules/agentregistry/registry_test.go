package agentregistry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// newClient returns a registry on a database of this test's own.
func newClient(t testing.TB) (*agentregistry.Client, *fxdb.DB) {
	t.Helper()
	db := testkit.DB(t, testkit.Migrations("agentregistry", agentregistry.Migrations()))
	c, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	return c, db
}

func as(t testing.TB, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

func agent(id string, change ...func(*agentregistry.Agent)) agentregistry.Agent {
	a := agentregistry.Agent{ID: id, Name: "name of " + id, ModelFamily: agentregistry.ModelClaude35, MaxConcurrentTasks: 10}
	for _, fn := range change {
		fn(&a)
	}
	return a
}

func register(t testing.TB, ctx context.Context, c *agentregistry.Client, agents ...agentregistry.Agent) {
	t.Helper()
	for _, a := range agents {
		require.NoError(t, c.Register(ctx, a))
	}
}

func ids(agents []agentregistry.Agent) []string {
	out := []string{}
	for _, a := range agents {
		out = append(out, a.ID)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

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
		"id":                       func(a *agentregistry.Agent) { a.ID = " " },
		"id must be at most":       func(a *agentregistry.Agent) { a.ID = long },
		"id must be text":          func(a *agentregistry.Agent) { a.ID = "a\x00b" },
		"name":                     func(a *agentregistry.Agent) { a.Name = "" },
		"model_family":             func(a *agentregistry.Agent) { a.ModelFamily = long[:51] },
		"capabilities: language":   func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go", ""} },
		"capabilities: task_type":  func(a *agentregistry.Agent) { a.Capabilities.TaskTypes = []string{long[:101]} },
		"max_concurrent_tasks":     func(a *agentregistry.Agent) { a.MaxConcurrentTasks = -1 },
		"load":                     func(a *agentregistry.Agent) { a.Load.ActiveTasks = -1 },
		"performance.success_rate": func(a *agentregistry.Agent) { a.Performance.SuccessRate = 1.1 },
		"performance must":         func(a *agentregistry.Agent) { a.Performance.AverageLatencyMS = -1 },
	} {
		err := c.Register(as(t, "acme"), agent("ada", change))
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
	require.Equal(t, before, db.Stats().AcquireCount)
}

func TestUnknownAgents(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	before, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	for name, use := range map[string]func() error{
		"Get":               func() error { _, err := c.Get(ctx, "x"); return err },
		"RecordPerformance": func() error { _, err := c.RecordPerformance(ctx, "x", agentregistry.Metrics{}); return err },
		"AdjustLoad":        func() error { _, err := c.AdjustLoad(ctx, "x", 1, 1); return err },
		"Update":            func() error { return c.Update(ctx, "x", agentregistry.Patch{Name: ptr("y")}) },
		"AgentStats":        func() error { _, err := c.AgentStats(ctx, "x"); return err },
		"another tenant's": func() error {
			_, err := c.RecordPerformance(as(t, "globex"), "ada", agentregistry.Metrics{})
			return err
		},
	} {
		require.ErrorIs(t, use(), agentregistry.ErrAgentNotFound, name)
		require.ErrorIs(t, use(), modules.ErrNotFound, name)
	}
	found, err := c.Unregister(ctx, "x")
	require.NoError(t, err)
	require.False(t, found)

	after, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(before, after))
	var events int
	require.NoError(t, db.QueryRow(ctx, "select count(*) from registry.performance_events").Scan(&events))
	require.Zero(t, events, "something was written")
}

func TestRecordPerformanceMovesTheAverages(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-time.Hour) }))
	p, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{Success: true, QualityScore: 0.5, LatencyMS: 100})
	require.NoError(t, err)
	require.Equal(t, agentregistry.Performance{SuccessRate: 1, AverageQuality: 0.5, AverageLatencyMS: 100, TaskCount: 1}, p, "the first task's figures replace the prior")
	p, err = c.RecordPerformance(ctx, "ada", agentregistry.Metrics{QualityScore: 1, LatencyMS: 300, TaskType: ptr("testing"), TaskID: ptr("t1"), TokensUsed: ptr(7)})
	require.NoError(t, err)
	require.Equal(t, agentregistry.Performance{SuccessRate: 0.5, AverageQuality: 0.75, AverageLatencyMS: 200, TaskCount: 2}, p)
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, p, got.Performance)
	require.WithinDuration(t, time.Now(), got.LastActiveAt, time.Minute)

	for field, m := range map[string]agentregistry.Metrics{
		"quality_score": {QualityScore: 1.5}, "latency_ms": {LatencyMS: -1}, "tokens_used": {TokensUsed: ptr(-1)}, "task_id": {TaskID: ptr("")}, "task_type": {TaskType: ptr(" ")},
	} {
		_, err := c.RecordPerformance(ctx, "ada", m)
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
}

func TestAdjustLoadStopsAtZeroAndAtAHundredPercent(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.MaxConcurrentTasks = 4 }))
	for _, step := range []struct {
		active, queued int
		want           agentregistry.Load
	}{
		{1, 3, agentregistry.Load{ActiveTasks: 1, QueuedTasks: 3, UtilizationPercent: 25}},
		{5, -1, agentregistry.Load{ActiveTasks: 6, QueuedTasks: 2, UtilizationPercent: 100}},
		{-100, -100, agentregistry.Load{}},
	} {
		got, err := c.AdjustLoad(ctx, "ada", step.active, step.queued)
		require.NoError(t, err)
		require.Equal(t, step.want, got)
	}
	_, err := c.AdjustLoad(ctx, "ada", 1<<31-1, 0)
	require.NoError(t, err)
	_, err = c.AdjustLoad(ctx, "ada", 1, 0)
	require.ErrorIs(t, err, modules.ErrInvalid, "an overflow")
	_, err = c.AdjustLoad(ctx, "ada", 1<<40, 0)
	require.ErrorIs(t, err, modules.ErrInvalid)
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, 1<<31-1, got.Load.ActiveTasks, "what Get reads is what AdjustLoad wrote")
}

func TestListPagesByKey(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Truncate(time.Microsecond)
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("agent-%02d", i)
		want = append(want, id)
		// Groups of three share a time: the id breaks the tie.
		register(t, ctx, c, agent(id, func(a *agentregistry.Agent) { a.LastActiveAt = at.Add(-time.Duration(i/3) * time.Second) }))
	}
	all, next, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, want, ids(all))

	var got []string
	sizes := []int{}
	for after := ""; ; {
		page, next, err := c.List(ctx, agentregistry.ListOptions{Limit: 10, After: after})
		require.NoError(t, err)
		got, sizes = append(got, ids(page)...), append(sizes, len(page))
		if next == "" {
			break
		}
		after = next
	}
	require.Equal(t, want, got)
	require.Equal(t, []int{10, 10, 5}, sizes)

	for _, opts := range []agentregistry.ListOptions{{After: "%%"}, {After: "bm90IGpzb24"}, {Limit: -1}} {
		_, _, err := c.List(ctx, opts)
		require.ErrorIs(t, err, modules.ErrInvalid)
	}
	empty, _, err := c.List(as(t, "globex"), agentregistry.ListOptions{})
	require.NoError(t, err)
	require.NotNil(t, empty)
	require.Empty(t, empty)
}

// team registers five agents that differ in what the filters look at.
func team(t *testing.T, ctx context.Context, c *agentregistry.Client) {
	t.Helper()
	for i, a := range []struct {
		id, task      string
		languages     []string
		specialities  []string
		success, load float64
	}{
		{"a", "research", []string{"Go", "Rust"}, []string{"Security audit"}, 0.9, 5},
		{"b", "research", []string{"Go"}, nil, 0.9, 1},
		{"c", "testing", []string{"Python"}, []string{"API design"}, 0.5, 0},
		{"d", "research", []string{"Rust", "Python"}, []string{"API design", "Security audit"}, 0.7, 10},
		{"e", "testing", nil, nil, 0.9, 1},
	} {
		register(t, ctx, c, agent(a.id, func(g *agentregistry.Agent) {
			g.Capabilities = agentregistry.Capabilities{TaskTypes: []string{a.task}, Languages: a.languages, Specializations: a.specialities}
			g.Performance = agentregistry.Performance{SuccessRate: a.success, AverageQuality: 0.5, TaskCount: int64(i + 1)}
			g.Load.ActiveTasks = int(a.load)
		}))
	}
}

func TestFindByCapability(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	for _, q := range []struct {
		name  string
		query agentregistry.Query
		want  []string
	}{
		{"everything, in order", agentregistry.Query{}, []string{"b", "e", "a", "d", "c"}},
		{"a task type", agentregistry.Query{TaskType: "research"}, []string{"b", "a", "d"}},
		{"any of the languages", agentregistry.Query{Languages: []string{"Rust", "Python"}}, []string{"a", "d", "c"}},
		{"any of the specializations", agentregistry.Query{Specializations: []string{"API design"}}, []string{"d", "c"}},
		{"utilization", agentregistry.Query{MaxUtilization: ptr(50.0)}, []string{"b", "e", "a", "c"}},
		{"no utilization", agentregistry.Query{MaxUtilization: ptr(0.0)}, []string{"c"}},
		{"success rate", agentregistry.Query{MinSuccessRate: ptr(0.7)}, []string{"b", "e", "a", "d"}},
		{"all joined with AND", agentregistry.Query{TaskType: "research", Languages: []string{"Rust"}, Specializations: []string{"Security audit"}, MaxUtilization: ptr(99.0), MinSuccessRate: ptr(0.9)}, []string{"a"}},
		{"a limit", agentregistry.Query{Limit: 2}, []string{"b", "e"}},
		{"no match", agentregistry.Query{TaskType: "juggling"}, []string{}},
	} {
		got, err := c.FindByCapability(ctx, q.query)
		require.NoError(t, err, q.name)
		require.Equal(t, q.want, ids(got), q.name)
	}
	for field, q := range map[string]agentregistry.Query{
		"max_utilization": {MaxUtilization: ptr(101.0)}, "min_success_rate": {MinSuccessRate: ptr(-0.1)}, "limit": {Limit: -1},
		"language": {Languages: []string{""}}, "task_type": {TaskType: " "},
	} {
		_, err := c.FindByCapability(ctx, q)
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
}

func TestFindScoredPutsTheBestFitFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	got, err := c.FindScored(ctx, agentregistry.Query{Languages: []string{"Go", "Rust", "Go"}, Specializations: []string{"Security audit"}})
	require.NoError(t, err)
	require.Len(t, got, 2, "any of the languages and any of the specializations")
	require.Equal(t, "a", got[0].ID)
	require.InDelta(t, 0.4+0.2+0.25*0.9+0.15*0.5, got[0].Score, 1e-9)
	require.Equal(t, "2 of 2 languages, 1 of 1 specializations, success rate 0.90, utilization 50%", got[0].Reason)
	require.Equal(t, "d", got[1].ID)
	require.InDelta(t, 0.4*0.5+0.2+0.25*0.7, got[1].Score, 1e-9)

	got, err = c.FindScored(ctx, agentregistry.Query{Limit: 1})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.InDelta(t, 0.4+0.2+0.25*0.9+0.15*0.9, got[0].Score, 1e-9, "what is not wanted counts as met")
	_, err = c.FindScored(ctx, agentregistry.Query{Limit: -1})
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestAvailable(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	register(t, ctx, c, agent("old", func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-48 * time.Hour) }))
	got, err := c.Available(ctx, 80, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "e", "a", "c"}, ids(got))
	for _, bad := range []func() error{
		func() error { _, err := c.Available(ctx, 101, time.Hour); return err },
		func() error { _, err := c.Available(ctx, 80, 0); return err },
	} {
		require.ErrorIs(t, bad(), modules.ErrInvalid)
	}
}

func TestUpdateChangesWhatThePatchNames(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("bob"), agent("ada", func(a *agentregistry.Agent) {
		a.Capabilities = agentregistry.Capabilities{TaskTypes: []string{"research"}, Languages: []string{"Go", "Rust"}}
		a.Load.ActiveTasks = 5
	}))
	require.NoError(t, c.Update(ctx, "ada", agentregistry.Patch{MaxConcurrentTasks: ptr(20)}))
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, "name of ada", got.Name)
	require.Equal(t, []string{"Go", "Rust"}, got.Capabilities.Languages)
	require.Equal(t, 20, got.MaxConcurrentTasks)
	require.InDelta(t, 25, got.Load.UtilizationPercent, 1e-9, "utilization follows the capacity")

	require.NoError(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("Ada"), Capabilities: &agentregistry.Capabilities{Languages: []string{"Go", "Python", "Go"}}}))
	got, err = c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, "Ada", got.Name)
	require.Equal(t, agentregistry.Capabilities{TaskTypes: []string{}, Languages: []string{"Go", "Python"}, Specializations: []string{}}, got.Capabilities)

	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("name of bob")}), agentregistry.ErrAgentExists)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{MaxConcurrentTasks: ptr(0)}), modules.ErrInvalid)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Name: ptr("")}), modules.ErrInvalid)
	require.ErrorIs(t, c.Update(ctx, "ada", agentregistry.Patch{Capabilities: &agentregistry.Capabilities{Languages: []string{""}}}), modules.ErrInvalid)
}

func TestUnregisterTakesAllThatBelongsToAnAgent(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go"} }))
	_, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{})
	require.NoError(t, err)
	found, err := c.Unregister(ctx, "ada")
	require.NoError(t, err)
	require.True(t, found)
	_, err = c.Get(ctx, "ada")
	require.ErrorIs(t, err, agentregistry.ErrAgentNotFound)
	for _, table := range tenantTables(t, db) {
		var n int
		require.NoError(t, db.QueryRow(ctx, "select count(*) from "+table).Scan(&n))
		require.Zero(t, n, table)
	}
}

func TestDeleteStaleSparesTheBusy(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	old := func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-2 * time.Hour) }
	register(t, ctx, c, agent("fresh"), agent("idle", old),
		agent("active", old, func(a *agentregistry.Agent) { a.Load.ActiveTasks = 1 }),
		agent("queued", old, func(a *agentregistry.Agent) { a.Load.QueuedTasks = 1 }))
	register(t, as(t, "globex"), c, agent("idle", old))

	n, err := c.DeleteStale(ctx, 365*24*time.Hour)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.DeleteStale(ctx, time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	left, _, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"fresh", "active", "queued"}, ids(left))
	_, err = c.Get(as(t, "globex"), "idle")
	require.NoError(t, err, "another tenant's agent went too")
	for _, threshold := range []time.Duration{0, -time.Second} {
		_, err := c.DeleteStale(ctx, threshold)
		require.ErrorIs(t, err, modules.ErrInvalid)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, agentregistry.Stats{}, s, "an empty registry has no figures and no invented time")
	team(t, ctx, c)
	s, err = c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 5, s.TotalAgents)
	require.EqualValues(t, 4, s.ActiveAgents)
	require.EqualValues(t, 1, s.IdleAgents)
	require.InDelta(t, (50+10+0+100+10)/5.0, s.AverageUtilization, 1e-9)
	require.InDelta(t, (0.9+0.9+0.5+0.7+0.9)/5, s.AverageSuccessRate, 1e-9)
	require.InDelta(t, 0.5, s.AverageQuality, 1e-9)
	require.WithinDuration(t, time.Now(), s.LastUpdated, time.Minute)
}

func TestAgentStatsWeighTasksByCount(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	got, err := c.AgentStats(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, agentregistry.AgentStats{ByTaskType: map[string]agentregistry.TaskStats{}}, got)
	for _, m := range []agentregistry.Metrics{
		{Success: true, QualityScore: 1, LatencyMS: 10, TaskType: ptr("research")},
		{Success: true, QualityScore: 1, LatencyMS: 20, TaskType: ptr("research")},
		{Success: true, QualityScore: 1, LatencyMS: 30, TaskType: ptr("research")},
		{Success: false, QualityScore: 0, LatencyMS: 100},
	} {
		_, err := c.RecordPerformance(ctx, "ada", m)
		require.NoError(t, err)
	}
	got, err = c.AgentStats(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, agentregistry.AgentStats{
		Total: agentregistry.TaskStats{Count: 4, SuccessRate: 0.75, AvgLatencyMS: 40, AvgQuality: 0.75},
		ByTaskType: map[string]agentregistry.TaskStats{
			"research": {Count: 3, SuccessRate: 1, AvgLatencyMS: 20, AvgQuality: 1},
			"":         {Count: 1, AvgLatencyMS: 100},
		},
	}, got)
}

func TestHealthNeverFails(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	h := c.Health(t.Context())
	require.True(t, h.Healthy)
	require.NoError(t, h.Err)
	require.Positive(t, h.Latency)
	require.Less(t, h.Latency, time.Minute)
	require.Positive(t, h.Pool.Total)
	require.NoError(t, db.Close(t.Context()))
	h = c.Health(t.Context())
	require.False(t, h.Healthy)
	require.ErrorIs(t, h.Err, fxdb.ErrDraining)
}

func TestEveryMethodNeedsATenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	use := func(c *agentregistry.Client, ctx context.Context) map[string]error {
		out := map[string]error{}
		out["Register"] = c.Register(ctx, agent("x"))
		_, out["Get"] = c.Get(ctx, "x")
		_, _, out["List"] = c.List(ctx, agentregistry.ListOptions{})
		_, out["FindByCapability"] = c.FindByCapability(ctx, agentregistry.Query{})
		_, out["FindScored"] = c.FindScored(ctx, agentregistry.Query{})
		_, out["Available"] = c.Available(ctx, 80, time.Hour)
		_, out["RecordPerformance"] = c.RecordPerformance(ctx, "x", agentregistry.Metrics{})
		_, out["AdjustLoad"] = c.AdjustLoad(ctx, "x", 1, 1)
		out["Update"] = c.Update(ctx, "x", agentregistry.Patch{})
		_, out["Stats"] = c.Stats(ctx)
		_, out["AgentStats"] = c.AgentStats(ctx, "x")
		_, out["DeleteStale"] = c.DeleteStale(ctx, time.Hour)
		_, out["Unregister"] = c.Unregister(ctx, "x")
		return out
	}
	for name, err := range use(c, t.Context()) {
		require.ErrorIs(t, err, fxdb.ErrTenantRequired, name)
	}
	single, err := agentregistry.New(agentregistry.Params{
		DB: db.Named("agentregistry"), Config: agentregistry.Config{DefaultTenant: "default-tenant"},
	})
	require.NoError(t, err)
	for name, err := range use(single, t.Context()) {
		require.NoError(t, err, name)
	}
	_, err = agentregistry.New(agentregistry.Params{DB: db, Config: agentregistry.Config{DefaultTenant: " "}})
	require.ErrorIs(t, err, tenant.ErrInvalid)
	_, err = agentregistry.New(agentregistry.Params{})
	require.ErrorContains(t, err, "Params.DB")
}

func isCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}
